"""The table of the classic group protocol is the one that its docstring draws."""

from __future__ import annotations

import re

import pytest

from zerocopy_lab.broker.groups import classic_states
from zerocopy_lab.broker.groups.classic_group import ClassicGroup
from zerocopy_lab.broker.groups.classic_states import (
    REFUSALS,
    TRANSITIONS,
    ClassicEvent,
    ClassicState,
    Wish,
)

ARROW = re.compile(r"^ +(\w+) +── ([a-z ]+) ──▶ +(\w+)$", re.MULTILINE)


def test_the_drawing_is_the_table() -> None:
    drawn = [
        ((ClassicState(before), ClassicEvent(event)), ClassicState(after))
        for before, event, after in ARROW.findall(classic_states.__doc__ or "")
    ]
    assert len(drawn) == len(dict(drawn))
    assert dict(drawn) == TRANSITIONS


def test_every_state_that_a_group_can_be_in_is_reached_and_left() -> None:
    states = set(ClassicState) - {ClassicState.DEAD}
    assert {before for before, _ in TRANSITIONS} == set(TRANSITIONS.values()) == states
    assert {event for _, event in TRANSITIONS} == set(ClassicEvent)


def test_what_is_not_in_the_table_does_not_happen() -> None:
    with pytest.raises(KeyError):
        ClassicGroup("g").happen(ClassicEvent.ASSIGNED)


@pytest.mark.parametrize("wish", Wish)
@pytest.mark.parametrize("state", [each for each in ClassicState if each is not ClassicState.DEAD])
def test_a_group_refuses_what_the_table_refuses(wish: Wish, state: ClassicState) -> None:
    group = ClassicGroup("g")
    group.state = state
    refusal = REFUSALS.get((wish, state))
    if refusal is None:
        group.check(wish)
    else:
        with pytest.raises(refusal):
            group.check(wish)
