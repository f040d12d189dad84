"""Sizes and times as people say them: for reasons, messages and whoever shows them to a learner."""

from __future__ import annotations

_LEAST_MS_OF_A_UNIT = (
    ("days", 86_400_000, 2 * 86_400_000),  # below two days, hours say more
    ("h", 3_600_000, 3_600_000),
    ("min", 60_000, 60_000),
    ("s", 1000, 1000),
    ("ms", 1, 0),
)


def byte_count(count: float) -> str:
    """Bytes as people say them: `512 B`, `4 KiB`, `1.5 MiB`. Powers of 1024, at most three
    digits.
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{_three_digits(count)} {unit}"


def duration(milliseconds: float) -> str:
    """A time as people say it: `250 ms`, `1 h`, `36 h`, `81.2 days`. At most three digits."""
    for unit, unit_ms, least_ms in _LEAST_MS_OF_A_UNIT:
        if abs(milliseconds) >= least_ms:
            return f"{_three_digits(milliseconds / unit_ms)} {unit}"
    raise AssertionError("every number is at least 0 ms away from 0")


def factor(times: float) -> str:
    """How many times as much, as people say it: `1.4`, `24`, `1,600`. Two digits below 10."""
    return f"{times:,.0f}" if abs(times) >= 9.95 else f"{times:.2g}"


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"
