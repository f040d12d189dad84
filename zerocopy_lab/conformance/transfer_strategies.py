"""What every transfer strategy must keep, to be tried on any of them, a student's own included.

    for finding in check_conformance(MyStrategy):
        print(finding)

A check is a function of one `Trial` (strategy, kind of socket, directory) that raises
NotConforming. It looks at bytes, counts and errors; its one clock is a limit on standing still, so
that a strategy that hangs is reported. `LARGE_CHECKS` take seconds and are run when asked for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.conformance import promises_in_trouble, promises_of_bytes
from zerocopy_lab.conformance.examiner import CHECK_LIMIT_S, Trial, what_is_wrong
from zerocopy_lab.transfer.connections import Family
from zerocopy_lab.transfer.strategy import Transfer

Check = Callable[[Trial], None]

CHECKS: tuple[Check, ...] = (
    promises_of_bytes.exact_bytes,
    promises_of_bytes.one_byte_chunks,
    promises_of_bytes.many_slices,
    promises_of_bytes.shared_file,
    promises_in_trouble.stalled_receiver,
    promises_in_trouble.one_byte_at_a_time,
    promises_in_trouble.reset_receiver,
    promises_in_trouble.shrinking_file,
    promises_in_trouble.signals_in_the_middle,
    promises_of_bytes.nothing_left_open,
    promises_of_bytes.file_let_go,
)

LARGE_CHECKS: tuple[Check, ...] = (promises_of_bytes.more_than_2_gib,)


class CheckResult(NamedTuple):
    """What one check found; `problem` is None where the promise was kept."""

    check: str
    family: Family
    problem: str | None


def families_of(strategy: type[Transfer]) -> tuple[Family, ...]:
    """The kinds of socket that the strategy is made for."""
    return ("tcp",) if strategy.tcp_only else ("tcp", "unix")


def check_conformance(
    strategy: type[Transfer],
    directory: Path | None = None,
    checks: Sequence[Check] = CHECKS,
) -> list[CheckResult]:
    """Run every check on every kind of socket, with files in `directory` (None: a temporary one).

    Raises ValueError when this machine cannot run the strategy at all.
    """
    return list(_findings(strategy, directory, checks, CHECK_LIMIT_S))


def first_problem(strategy: type[Transfer], limit_s: float) -> CheckResult | None:
    """The first promise that is broken, each check having `limit_s` seconds; None: all kept."""
    found = _findings(strategy, None, CHECKS, limit_s)
    return next((each for each in found if each.problem is not None), None)


def _findings(
    strategy: type[Transfer], directory: Path | None, checks: Sequence[Check], limit_s: float
) -> Iterator[CheckResult]:
    if reason := strategy.unavailable():
        raise ValueError(f"{strategy.name} is not available here: {reason}")
    with tempfile.TemporaryDirectory(dir=directory) as files:
        for family in families_of(strategy):
            trial = Trial(strategy, family, Path(files))
            for check in checks:
                yield CheckResult(check.__name__, family, what_is_wrong(check, trial, limit_s))
