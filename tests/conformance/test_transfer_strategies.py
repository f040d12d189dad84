"""Every strategy that this machine has, on every kind of socket, against every promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from zerocopy_lab.conformance.examiner import Trial, what_is_wrong
from zerocopy_lab.conformance.transfer_strategies import (
    CHECKS,
    LARGE_CHECKS,
    Check,
    families_of,
)
from zerocopy_lab.transfer import Transfer, strategies
from zerocopy_lab.transfer.connections import Family

EVERY_PATH = [
    pytest.param(strategy, family, id=f"{name}-{family}")
    for name, strategy in strategies().items()
    for family in families_of(strategy)
]


def examine(check: Check, strategy: type[Transfer], family: Family, directory: Path) -> None:
    if reason := strategy.unavailable():
        pytest.skip(reason)
    problem = what_is_wrong(check, Trial(strategy, family, directory))
    assert problem is None, problem


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("strategy", "family"), EVERY_PATH)
def test_keeps_its_promises(
    check: Check, strategy: type[Transfer], family: Family, tmp_path: Path
) -> None:
    examine(check, strategy, family, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("check", LARGE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("strategy", "family"), EVERY_PATH)
def test_moves_more_than_any_one_call_can(
    check: Check, strategy: type[Transfer], family: Family, tmp_path: Path
) -> None:
    examine(check, strategy, family, tmp_path)
