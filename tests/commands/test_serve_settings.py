"""`serve --set NAME=VALUE`: each in its room, and words that say what is wrong."""

from __future__ import annotations

import pytest

from zerocopy_lab.commands.serve_settings import sort_settings


def test_the_initial_rebalance_delay_is_a_setting_of_the_broker_and_may_be_none() -> None:
    assert sort_settings([]).groups.group_initial_rebalance_delay_ms == 0
    for wished_ms in (0, 3_000):
        sorted_ = sort_settings([f"group.initial.rebalance.delay.ms={wished_ms}"])
        assert sorted_.groups.group_initial_rebalance_delay_ms == wished_ms


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("nonsense=1", "neither the broker nor its topics"),
        ("group.initial.rebalance.delay.ms=-1", "must be 0 or more"),
        ("group.consumer.session.timeout.ms=0", "must be 1 or more"),
        ("log.dirs=x", "an option of its own"),
        ("group.max.size", "NAME=VALUE"),
    ],
)
def test_what_is_wrong_is_said(assignment: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sort_settings([assignment])
