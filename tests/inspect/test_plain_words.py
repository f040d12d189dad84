from __future__ import annotations

import pytest

from zerocopy_lab.plain_words import byte_count, duration, factor

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (0, "0 ms"),
        (250, "250 ms"),
        (1000, "1 s"),
        (90_000, "1.5 min"),
        (3_600_000, "1 h"),
        (DAY_MS, "24 h"),
        (7 * DAY_MS, "7 days"),
        (81.24 * DAY_MS, "81.2 days"),
        (1000 * DAY_MS, "1000 days"),
        (-5000, "-5 s"),
    ],
)
def test_a_duration(milliseconds: float, words: str) -> None:
    assert duration(milliseconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (688_128, "672 KiB"),
        (999.7 * 1024, "1000 KiB"),
        (1.5 * (1 << 20), "1.5 MiB"),
        (5000 << 30, "5000 GiB"),
    ],
)
def test_a_number_of_bytes(count: float, words: str) -> None:
    assert byte_count(count) == words


@pytest.mark.parametrize(
    ("times", "words"), [(1.36, "1.4"), (9.94, "9.9"), (9.97, "10"), (24.4, "24"), (1596, "1,596")]
)
def test_a_factor_is_never_a_power_of_ten(times: float, words: str) -> None:
    assert factor(times) == words
