"""keep(): what passed is stored with what it needs, what does not is told why, and goes again."""

from __future__ import annotations

import math as calculation
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.classroom.conftest import LabMaker
from zerocopy_lab.classroom.kept_parts import keep, kept_sources, parts_in_words, take_out
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.part_source import NoSource, source_of

FEWEST = 0
OPENED = object()


def smallest(counts: Sequence[int]) -> int:
    return min(counts) + FEWEST


def my_choice(counts: Any) -> int:
    wanted = calculation.floor(smallest(counts))
    for number, count in enumerate(counts):  # `count` and `number` are its own
        if count == wanted:
            return number
    raise AssertionError


def my_wrong_choice(counts: Any) -> int:
    return len(counts) - 1


def my_choice_here_only(counts: Any) -> int:
    return 0 if OPENED else 1


def count(*_: object) -> None:
    """Named like a variable inside `my_choice`: not what it means."""


def test_a_part_is_kept_with_what_it_needs_and_taken_out_again(start: LabMaker) -> None:
    lab = start()
    assert keep("placement", my_choice)
    source = kept_sources(lab.parts_dir)["placement"]
    for needed in ("import math as calculation", "FEWEST = 0", "def smallest", "def my_choice"):
        assert needed in source
    assert "def count" not in source
    assert "You have built: placement (01)" in parts_in_words(lab.parts_dir)
    take_out("placement")
    assert kept_sources(lab.parts_dir) == {}


def test_a_wrong_part_is_not_kept_and_leaves_the_one_before(
    start: LabMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    lab: Lab = start()
    keep("placement", my_choice)
    before = kept_sources(lab.parts_dir)
    assert not keep("placement", my_wrong_choice)
    assert "there is one with fewer" in capsys.readouterr().out
    assert kept_sources(lab.parts_dir) == before


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (my_choice_here_only, "uses OPENED"),
        (lambda counts: 0, "with def"),
        (len, "with def"),
        (lambda: lambda x: x, "with def"),
    ],
)
def test_what_works_only_here_is_refused(function: Callable[..., Any], why: str) -> None:
    with pytest.raises(NoSource, match=why):
        source_of(function, "placement")
