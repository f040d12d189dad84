"""The judge of topics and committed offsets: each way of losing one must be noticed."""

from __future__ import annotations

import uuid
from typing import Any, cast

import pytest

from ci.torture import churn, questions
from ci.torture.churn import Churn, State
from ci.torture.ledger import Wrong
from ci.torture.questions import Read, Refused, TopicState
from zerocopy_lab.client.wire import Wire

NOWHERE = cast(Wire, None)
BEFORE = State(2, {"cleanup.policy": "compact"})
ID = uuid.UUID(int=1)


class FakeBroker:
    """Answers whatever a test wants it to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: dict[str, TopicState] = {}
        self.offsets: dict[tuple[str, int], int] = {}
        self.policy = "compact"
        monkeypatch.setattr(questions, "topics", lambda wire: self.found)
        monkeypatch.setattr(questions, "committed", lambda wire, group: self.offsets)
        monkeypatch.setattr(questions, "read_all", lambda wire, topic: Read([], 0, 0))
        monkeypatch.setattr(
            questions,
            "topic_settings",
            lambda wire, topic: {"cleanup.policy": (self.policy, False)},
        )


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> FakeBroker:
    return FakeBroker(monkeypatch)


@pytest.fixture
def judge(broker: FakeBroker) -> Churn:
    """Knows a topic of two partitions, with 7 committed for the first and up to 9 sent."""
    judge = Churn("1")
    topic = judge.topics["churn-0"]
    topic.possible, topic.topic_id = [BEFORE], ID
    topic.least, topic.most = {0: 7}, {0: 9}
    broker.found = {"churn-0": TopicState(ID, *BEFORE)}
    broker.offsets = {("churn-0", 0): 7}
    return judge


def test_as_it_was_is_right_and_then_known(judge: Churn, broker: FakeBroker) -> None:
    broker.offsets["churn-0", 0] = 9
    judge.check(NOWHERE)
    broker.offsets["churn-0", 0] = 8
    with pytest.raises(Wrong, match="8 is committed, which was sent up to 9 and acknowledged up"):
        judge.check(NOWHERE)


@pytest.mark.parametrize(
    "found",
    [
        None,
        TopicState(ID, 1, BEFORE.settings),
        TopicState(ID, 2, {}),
        TopicState(ID, 2, {"cleanup.policy": "delete"}),
    ],
)
def test_a_topic_that_is_not_what_it_was(
    judge: Churn, broker: FakeBroker, found: TopicState | None
) -> None:
    broker.found = {} if found is None else {"churn-0": found}
    with pytest.raises(Wrong, match="it must be one of"):
        judge.check(NOWHERE)


def test_another_topic_of_the_same_name(judge: Churn, broker: FakeBroker) -> None:
    broker.found = {"churn-0": TopicState(uuid.UUID(int=2), *BEFORE)}
    with pytest.raises(Wrong, match="another id"):
        judge.check(NOWHERE)


@pytest.mark.parametrize("offset", [None, 6, 10])
def test_committed_offsets_that_went_back_or_came_from_nowhere(
    judge: Churn, broker: FakeBroker, offset: int | None
) -> None:
    broker.offsets = {} if offset is None else {("churn-0", 0): offset}
    with pytest.raises(Wrong, match="is committed"):
        judge.check(NOWHERE)


def test_what_was_not_answered_is_true_as_a_whole_or_not_at_all(
    judge: Churn, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(*_: Any) -> None:
        raise ConnectionError

    topic = judge.topics["churn-1"]
    monkeypatch.setattr(questions, "create_topic", no_answer)
    with pytest.raises(ConnectionError):
        Churn._create(judge, NOWHERE, topic)
    wanted = topic.asked_for
    assert wanted is not None
    assert topic not in judge._fit_for("delete")  # nobody knows whether it is there
    broker.found["churn-1"] = TopicState(uuid.UUID(int=3), wanted.partitions, {})
    with pytest.raises(Wrong, match="it must be one of"):
        judge.check(NOWHERE)
    broker.found["churn-1"] = TopicState(uuid.UUID(int=3), *wanted)
    judge.check(NOWHERE)
    assert topic.possible == [wanted]


def test_offsets_go_with_their_topic(
    judge: Churn, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "delete_topic", lambda *_: None)
    Churn._delete(judge, NOWHERE, judge.topics["churn-0"])
    broker.found = {}
    with pytest.raises(Wrong, match="sent up to -1"):
        judge.check(NOWHERE)
    broker.offsets = {}
    judge.check(NOWHERE)


def test_the_offsets_topic_stays_compacted(judge: Churn, broker: FakeBroker) -> None:
    broker.found["__consumer_offsets"] = TopicState(uuid.UUID(int=4), 1, {})
    judge.check(NOWHERE)
    broker.policy = "delete"
    with pytest.raises(Wrong, match=r"cleanup\.policy=delete"):
        judge.check(NOWHERE)


def test_a_refused_change_leaves_its_topic_alone_until_it_is_known(
    judge: Churn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise Refused("alter churn-0", 56)

    monkeypatch.setattr(questions, "set_topic", refused)
    with pytest.raises(Refused):
        judge.act(NOWHERE, "alter")
    assert len(judge.topics["churn-0"].possible) == 2
    assert judge._fit_for("alter") == []
    judge.check(NOWHERE)
    assert judge._fit_for("alter") == [judge.topics["churn-0"]]


def test_every_kind_of_change_has_its_kill() -> None:
    from ci.torture.rig import KILLS

    assert {f"in {kind}" for kind in churn.KINDS} <= set(KILLS)
