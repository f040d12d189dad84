"""The rules of the new consumer protocol, scene by scene, with a clock that only the test moves."""

from __future__ import annotations

import pytest

from tests.broker.groups.consumer_play import REBALANCE_S, SESSION_S, ConsumerStage, Member, settle
from zerocopy_lab.broker.groups.assignors import NO_SLOTS
from zerocopy_lab.broker.groups.consumer_coordinator import ConsumerHeartbeat
from zerocopy_lab.broker.groups.consumer_group import MemberState
from zerocopy_lab.errors import (
    InvalidRegularExpression,
    InvalidRequest,
    KafkaStorageError,
    StaleMemberEpoch,
    UnknownMemberId,
    UnsupportedAssignor,
    UnsupportedVersion,
)

OK = 0
UNKNOWN_MEMBER_ID = 25
GROUP_ID_NOT_FOUND = 69
GROUP_MAX_SIZE_REACHED = 81
FENCED_INSTANCE_ID = 82
FENCED_MEMBER_EPOCH = 110
UNRELEASED_INSTANCE_ID = 111


@pytest.fixture
def stage() -> ConsumerStage:
    return ConsumerStage()


def test_the_first_member_gets_everything_with_its_first_heartbeat(stage: ConsumerStage) -> None:
    member = Member(stage, "a")
    assert member.join() == OK
    assert member.epoch == 1
    assert len(member.reads) == 6
    assert stage.group().state == "Stable"


def test_a_partition_is_given_only_when_its_owner_has_let_go(stage: ConsumerStage) -> None:
    first, second = Member(stage, "a"), Member(stage, "b")
    first.join()
    second.join()
    assert (second.epoch, second.reads) == (2, NO_SLOTS)
    assert stage.group().members["b"].state is MemberState.UNRELEASED
    first.beat(lets_go=False)
    assert (first.epoch, len(first.assigned), len(first.reads)) == (1, 3, 6)
    first.beat(lets_go=False)
    second.beat()
    assert second.reads == NO_SLOTS
    assert stage.group().state == "Reconciling"
    first.beat()
    assert (first.epoch, len(first.reads)) == (2, 3)
    second.beat()
    assert len(second.reads) == 3
    assert not first.reads & second.reads
    assert stage.group().state == "Stable"


def test_who_does_not_let_go_in_time_is_out(stage: ConsumerStage) -> None:
    first, second = Member(stage, "a"), Member(stage, "b")
    first.join()
    second.join()
    for _ in range(REBALANCE_S // 10):
        assert first.beat(lets_go=False) == OK
        assert second.beat() == OK
        stage.timers.advance(10)
    assert first.beat(lets_go=False) == UNKNOWN_MEMBER_ID
    second.beat()
    assert len(second.reads) == 6


def test_a_silent_member_loses_its_place(stage: ConsumerStage) -> None:
    first, second = Member(stage, "a"), Member(stage, "b")
    first.join()
    second.join()
    settle(first, second)
    stage.timers.advance(SESSION_S - 1)
    second.beat()
    stage.timers.advance(1)
    assert list(stage.group().members) == ["b"]
    second.beat()
    assert len(second.reads) == 6
    assert first.beat() == UNKNOWN_MEMBER_ID
    assert first.join() == OK


def test_who_leaves_makes_room_at_once(stage: ConsumerStage) -> None:
    first, second = Member(stage, "a"), Member(stage, "b")
    first.join()
    second.join()
    settle(first, second)
    assert first.leave() == OK
    second.beat()
    assert len(second.reads) == 6
    assert second.leave() == OK
    assert stage.group().state == "Empty"
    assert first.beat() == UNKNOWN_MEMBER_ID


def test_a_lost_answer_is_given_again(stage: ConsumerStage) -> None:
    first, second = Member(stage, "a"), Member(stage, "b")
    first.join()
    second.join()
    first.beat()
    assert first.beat(lost=True) == OK
    assert stage.group().members["a"].epoch == 2
    assert first.beat() == OK
    assert first.epoch == 2


def test_a_member_of_another_epoch_is_fenced(stage: ConsumerStage) -> None:
    first, second = Member(stage, "a"), Member(stage, "b")
    first.join()
    first.epoch = 7
    assert first.beat() == FENCED_MEMBER_EPOCH
    first.epoch = 1
    second.join()
    settle(first, second)
    second.leave()
    settle(first)
    assert first.epoch > 2
    first.epoch = 1
    assert first.beat() == FENCED_MEMBER_EPOCH


def test_a_topic_that_grows_comes_or_is_another_one(stage: ConsumerStage) -> None:
    member = Member(stage, "a", topics=("t", "later"))
    member.join()
    stage.extend("t", 8)
    member.beat()
    assert {partition for _, partition in member.reads} == set(range(8))
    stage.create("later", 2)
    settle(member)
    assert len(member.reads) == 10
    former = stage.topics["t"].topic_id
    stage.create("t", 3)
    settle(member)
    assert len(member.reads) == 5
    assert former not in {topic_id for topic_id, _ in member.reads}
    del stage.topics["t"]
    settle(member)
    assert len(member.reads) == 2


def test_members_choose_the_assignor(stage: ConsumerStage) -> None:
    stage.create("u", 3)
    members = [Member(stage, name, topics=("t", "u"), assignor="range") for name in "ab"]
    for member in members:
        member.join()
    settle(*members)
    assert stage.group().assignor_name == "range"
    first = {name: [p for i, p in sorted(members[0].reads) if i == stage.topics[name].topic_id]
             for name in ("t", "u")}  # fmt: skip
    assert first == {"t": [0, 1, 2], "u": [0, 1]}


def test_a_static_member_that_comes_back_has_what_it_had(stage: ConsumerStage) -> None:
    first, second = Member(stage, "a", instance_id="i"), Member(stage, "b")
    first.join()
    second.join()
    settle(first, second)
    had, epoch = first.reads, stage.group().epoch
    again = Member(stage, "c", instance_id="i")
    assert again.join() == UNRELEASED_INSTANCE_ID
    assert first.leave(-2) == OK
    second.beat()
    assert len(second.reads) == 3
    assert again.join() == OK
    assert (again.reads, stage.group().epoch) == (had, epoch)
    assert first.leave(-2) == FENCED_INSTANCE_ID
    assert list(stage.group().members) == ["b", "c"]


def test_a_static_member_that_does_not_come_back_is_missed_by_its_session(
    stage: ConsumerStage,
) -> None:
    first, second = Member(stage, "a", instance_id="i"), Member(stage, "b")
    first.join()
    second.join()
    settle(first, second)
    first.leave(-2)
    stage.timers.advance(SESSION_S - 1)
    second.beat()
    stage.timers.advance(1)
    second.beat()
    assert len(second.reads) == 6


def test_there_is_room_for_so_many() -> None:
    stage = ConsumerStage(group_consumer_max_size=1)
    first, second = Member(stage, "a"), Member(stage, "b")
    assert first.join() == OK
    assert second.join() == GROUP_MAX_SIZE_REACHED
    assert first.beat() == OK


def test_members_go_on_after_a_restart_of_the_broker(stage: ConsumerStage) -> None:
    first, second = Member(stage, "a", instance_id="i"), Member(stage, "b")
    first.join()
    second.join()
    first.beat(lets_go=False)
    before = stage.group()
    stage.restart()
    after = stage.group()
    assert after is not before
    for name in ("epoch", "topics_hash", "target_epoch", "members", "targets"):
        assert getattr(after, name) == getattr(before, name)
    settle(first, second)
    assert len(first.reads) == len(second.reads) == 3
    stage.restart()
    stage.timers.advance(SESSION_S)
    assert stage.group().state == "Empty"


def test_what_cannot_be_written_has_not_happened(stage: ConsumerStage) -> None:
    first, second = Member(stage, "a"), Member(stage, "b")
    stage.log.refuse_writes = KafkaStorageError("disk full")
    assert first.join() == 56
    assert stage.groups == {}
    stage.log.refuse_writes = None
    first.join()
    stage.log.refuse_writes = KafkaStorageError("disk full")
    assert second.join() == 56
    assert list(stage.group().members) == ["a"]
    stage.timers.advance(SESSION_S)  # its end cannot be written either, so it stays for now
    assert list(stage.group().members) == ["a"]
    stage.log.refuse_writes = None
    stage.timers.advance(SESSION_S)
    assert stage.group().state == "Empty"


def test_offsets_are_for_members_of_the_current_epoch(stage: ConsumerStage) -> None:
    member = Member(stage, "a")
    member.join()
    group = stage.group()
    group.check_commit("a", 1, 9)
    with pytest.raises(StaleMemberEpoch):
        group.check_commit("a", 0, 9)
    with pytest.raises(UnknownMemberId):
        group.check_commit("", -1, 9)
    with pytest.raises(UnsupportedVersion):
        group.check_commit("a", 1, 8)
    member.leave()
    group.check_commit("", -1, 8)


JOINS = {"rebalance_timeout_ms": 1000, "topic_names": ("t",), "owns": NO_SLOTS}


@pytest.mark.parametrize(
    "values",
    [
        {"group_id": ""},
        {"member_id": ""},
        {"instance_id": ""},
        {"rack_id": ""},
        {"epoch": -3},
        {"epoch": -2},
        {"rebalance_timeout_ms": -1},
        {"topic_names": None},
    ],
)
def test_what_makes_no_sense_is_refused(stage: ConsumerStage, values: dict[str, object]) -> None:
    beat = ConsumerHeartbeat("g", "a", 0)._replace(**{**JOINS, **values})  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest):
        stage.coordinator.heartbeat(beat)


def test_what_is_not_served_is_said(stage: ConsumerStage) -> None:
    beat = ConsumerHeartbeat("g", "a", 0)._replace(**JOINS)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedAssignor, match="uniform, range"):
        stage.coordinator.heartbeat(beat._replace(assignor="sticky"))
    with pytest.raises(InvalidRegularExpression, match=r"group\.protocol=classic"):
        stage.coordinator.heartbeat(beat._replace(topic_regex="t.*", topic_names=None))
    assert Member(stage, "a", epoch=3).beat() == GROUP_ID_NOT_FOUND
