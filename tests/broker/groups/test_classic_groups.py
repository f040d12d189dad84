"""The rules of consumer groups, scene by scene, with a clock that only the test moves."""

from __future__ import annotations

import pytest

from tests.broker.groups.group_play import REBALANCE_MS, SESSION_MS, Client, Stage, settle
from zerocopy_lab.broker.groups.classic_group import subscribed_topics
from zerocopy_lab.broker.groups.classic_states import ClassicState
from zerocopy_lab.errors import (
    IllegalGeneration,
    KafkaStorageError,
    RebalanceInProgress,
    UnknownMemberId,
)

OK = 0
ILLEGAL_GENERATION = 22
INCONSISTENT_GROUP_PROTOCOL = 23
INVALID_GROUP_ID = 24
UNKNOWN_MEMBER_ID = 25
INVALID_SESSION_TIMEOUT = 26
REBALANCE_IN_PROGRESS = 27
KAFKA_STORAGE_ERROR = 56
MEMBER_ID_REQUIRED = 79
GROUP_MAX_SIZE_REACHED = 81
FENCED_INSTANCE_ID = 82


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_newcomer_is_given_an_id_first_and_joins_with_it(stage: Stage) -> None:
    client = Client(stage)
    client._join("g", version=4)
    assert client.joins[-1].error_code == MEMBER_ID_REQUIRED
    assert client.member_id.startswith("client-")
    assert stage.group().state is ClassicState.EMPTY
    client._join("g", version=4)
    assert client.joins[-1].error_code == OK
    assert client.leads
    assert client.generation_id == 1


def test_an_old_client_joins_without_asking_for_an_id(stage: Stage) -> None:
    client = Client(stage)
    client._join("g", version=3)
    assert client.joins[-1].error_code == OK
    assert client.member_id.startswith("client-")


def test_an_id_that_nobody_comes_back_with_expires(stage: Stage) -> None:
    first = Client(stage)
    settle(first)
    ghost = Client(stage)
    ghost._join("g", version=4)
    assert len(stage.group().pending_members) == 1
    ghost_id = ghost.member_id
    stage.timers.advance(SESSION_MS / 1000)
    assert not stage.group().pending_members
    ghost._join("g", version=4)
    assert ghost.joins[-1] == (ghost_id, UNKNOWN_MEMBER_ID, *ghost.joins[-1][2:])


def test_two_members_share_one_generation_and_the_leader_sees_both(stage: Stage) -> None:
    first, second = Client(stage), Client(stage)
    settle(first, second)
    assert first.generation_id == second.generation_id == 2
    assert [first.leads, second.leads] == [True, False]
    assert {who for who, _, _ in first.joins[-1].members} == {first.member_id, second.member_id}
    assert second.joins[-1].members == ()
    assert stage.group().state is ClassicState.STABLE
    assert first.syncs[-1].assignment == first.member_id.encode()
    assert second.syncs[-1].assignment == second.member_id.encode()


def test_a_join_waits_until_the_others_have_joined_too(stage: Stage) -> None:
    first, second = Client(stage), Client(stage)
    settle(first)
    second.join()
    assert second.joins == []
    assert first.heartbeat() == REBALANCE_IN_PROGRESS
    first.join()
    assert [first.generation_id, second.generation_id] == [2, 2]


def test_who_does_not_join_again_in_time_is_out(stage: Stage) -> None:
    slow = Client(stage, session_ms=REBALANCE_MS * 2)
    settle(slow)
    second = Client(stage)
    second.join()
    stage.timers.advance(REBALANCE_MS / 1000 - 1)
    assert second.joins == []
    stage.timers.advance(1)
    assert second.joins[-1].error_code == OK
    assert second.leads
    assert list(stage.group().members) == [second.member_id]
    assert slow.heartbeat() == UNKNOWN_MEMBER_ID


def test_a_silent_member_loses_its_place_and_the_others_rebalance(stage: Stage) -> None:
    first, second = Client(stage), Client(stage)
    settle(first, second)
    for _ in range(4):
        stage.timers.advance(SESSION_MS / 1000 / 2)
        second_lives = second.heartbeat()
    assert second_lives == REBALANCE_IN_PROGRESS
    second.join()
    assert second.leads
    assert list(stage.group().members) == [second.member_id]


def test_heartbeats_keep_a_member_alive(stage: Stage) -> None:
    client = Client(stage)
    settle(client)
    for _ in range(100):
        stage.timers.advance(SESSION_MS / 1000 - 1)
        assert client.heartbeat() == OK


def test_a_member_that_waits_for_the_others_need_not_send_heartbeats(stage: Stage) -> None:
    first = Client(stage, session_ms=REBALANCE_MS)
    settle(first)
    second = Client(stage, session_ms=6_000)
    second.join()
    stage.timers.advance(REBALANCE_MS / 1000 - 1)
    assert second.member_id == "" or second.member_id in stage.group().members
    first.join()
    assert second.joins[-1].error_code == OK


def test_leaving_rebalances_at_once(stage: Stage) -> None:
    first, second = Client(stage), Client(stage)
    settle(first, second)
    first.leave()
    assert second.heartbeat() == REBALANCE_IN_PROGRESS
    second.join()
    second.sync({second.member_id: b"everything"})
    assert second.leads
    assert second.syncs[-1].assignment == b"everything"
    assert first.leave() == UNKNOWN_MEMBER_ID


def test_the_last_one_leaves_an_empty_group_that_remembers_its_generation(stage: Stage) -> None:
    client = Client(stage)
    settle(client)
    client.leave()
    assert stage.group().state is ClassicState.EMPTY
    assert stage.group().generation_id == 2
    late = Client(stage)
    settle(late)
    assert late.generation_id == 3


def test_a_sync_waits_for_the_leaders(stage: Stage) -> None:
    first, second = Client(stage), Client(stage)
    first.join()
    second.join()
    first.join()
    second.sync()
    assert second.syncs == []
    first.sync({second.member_id: b"b"})
    assert second.syncs[-1].assignment == b"b"
    assert first.syncs[-1].assignment == b""


def test_a_join_during_the_second_half_begins_anew(stage: Stage) -> None:
    first, second, third = Client(stage), Client(stage), Client(stage)
    first.join()
    second.join()
    first.join()
    second.sync()
    third.join()
    assert second.syncs[-1].error_code == REBALANCE_IN_PROGRESS
    first.sync({})
    assert first.syncs[-1].error_code == REBALANCE_IN_PROGRESS


def test_a_leader_that_never_assigns_is_thrown_out(stage: Stage) -> None:
    leader = Client(stage, session_ms=REBALANCE_MS * 3)
    follower = Client(stage, session_ms=REBALANCE_MS * 3)
    leader.join()
    follower.join()
    leader.join()
    follower.sync()
    stage.timers.advance(REBALANCE_MS / 1000)
    assert follower.syncs[-1].error_code == REBALANCE_IN_PROGRESS
    follower.join()
    assert follower.leads
    assert leader.heartbeat() == UNKNOWN_MEMBER_ID


def test_requests_of_a_former_generation_are_refused(stage: Stage) -> None:
    first, second = Client(stage), Client(stage)
    settle(first, second)
    first.generation_id = 1
    assert first.heartbeat() == ILLEGAL_GENERATION
    first.sync()
    assert first.syncs[-1].error_code == ILLEGAL_GENERATION
    with stage.coordinator.lock.held(), pytest.raises(IllegalGeneration):
        stage.coordinator.check_commit("g", first.member_id, None, 1)


def test_commits_are_refused_between_the_halves_of_a_rebalance(stage: Stage) -> None:
    client = Client(stage)
    client.join()
    with stage.coordinator.lock.held(), pytest.raises(RebalanceInProgress):
        stage.coordinator.check_commit("g", client.member_id, None, client.generation_id)
    client.sync()
    with stage.coordinator.lock.held():
        stage.coordinator.check_commit("g", client.member_id, None, client.generation_id)


def test_only_members_commit_while_there_are_any(stage: Stage) -> None:
    with stage.coordinator.lock.held():
        stage.coordinator.check_commit("g", "", None, -1)
    settle(Client(stage))
    with stage.coordinator.lock.held(), pytest.raises(UnknownMemberId):
        stage.coordinator.check_commit("g", "", None, -1)


@pytest.mark.parametrize(
    ("client", "group_id", "code"),
    [
        ({}, "", INVALID_GROUP_ID),
        ({"session_ms": 5_999}, "g", INVALID_SESSION_TIMEOUT),
        ({"session_ms": 1_800_001}, "g", INVALID_SESSION_TIMEOUT),
        ({"protocols": {}}, "g", INCONSISTENT_GROUP_PROTOCOL),
        ({"protocol_type": ""}, "g", INCONSISTENT_GROUP_PROTOCOL),
        ({"member_id": "made-up"}, "g", UNKNOWN_MEMBER_ID),
    ],
)
def test_bad_joins_make_no_group(stage: Stage, client: dict, group_id: str, code: int) -> None:
    bad = Client(stage, **client)
    bad.join(group_id=group_id)
    assert bad.joins[-1].error_code == code
    assert stage.coordinator.groups == {}


@pytest.mark.parametrize("client", [{"protocols": {"sticky": b""}}, {"protocol_type": "connect"}])
def test_who_does_not_speak_the_groups_protocol_stays_outside(stage: Stage, client: dict) -> None:
    settle(Client(stage))
    other = Client(stage, **client)
    other.join()
    assert other.joins[-1].error_code == INCONSISTENT_GROUP_PROTOCOL
    assert stage.group().state is ClassicState.STABLE


def test_most_members_choose_the_protocol_among_those_that_all_speak(stage: Stage) -> None:
    clients = [
        Client(stage, protocols={"a": b"", "b": b"1"}),
        Client(stage, protocols={"c": b"", "b": b"2", "a": b""}),
        Client(stage, protocols={"c": b"", "b": b"3", "a": b""}),
    ]
    settle(*clients)
    assert stage.group().protocol_name == "b"
    assert [what for _, _, what in clients[0].joins[-1].members] == [b"1", b"2", b"3"]


def test_a_full_group_takes_nobody_in() -> None:
    stage = Stage(group_max_size=2)
    settle(Client(stage), Client(stage))
    third = Client(stage)
    third.join()
    assert third.joins[-1].error_code == GROUP_MAX_SIZE_REACHED


def test_a_leader_that_joins_again_begins_a_rebalance_a_follower_does_not(stage: Stage) -> None:
    leader, follower = Client(stage), Client(stage)
    settle(leader, follower)
    follower.join()
    assert follower.joins[-1].generation_id == 2
    assert stage.group().state is ClassicState.STABLE
    leader.join()
    assert stage.group().state is ClassicState.PREPARING_REBALANCE
    follower.protocols = {"range": b"another subscription"}
    follower.join()
    assert [leader.generation_id, follower.generation_id] == [3, 3]


def test_a_follower_with_a_new_subscription_begins_a_rebalance(stage: Stage) -> None:
    leader, follower = Client(stage), Client(stage)
    settle(leader, follower)
    follower.protocols = {"range": b"another subscription"}
    follower.join()
    assert stage.group().state is ClassicState.PREPARING_REBALANCE


def test_a_repeated_join_whose_answer_was_lost_gets_the_same_generation(stage: Stage) -> None:
    client = Client(stage)
    client.join()
    client.join()
    assert [join.generation_id for join in client.joins] == [1, 1]


# Static members -----------------------------------------------------------------------------------


def test_a_static_member_returns_to_its_assignment_without_a_rebalance(stage: Stage) -> None:
    leader, static = Client(stage), Client(stage, instance_id="i")
    settle(leader, static)
    again = Client(stage, instance_id="i")
    again.join()
    assert again.joins[-1].error_code == OK
    assert again.generation_id == static.generation_id
    assert again.member_id != static.member_id
    assert stage.group().state is ClassicState.STABLE
    again.sync()
    assert again.syncs[-1].assignment == static.member_id.encode()
    assert leader.heartbeat() == OK


def test_the_former_process_of_a_static_member_is_fenced(stage: Stage) -> None:
    static = Client(stage, instance_id="i")
    settle(static)
    Client(stage, instance_id="i").join()
    assert static.heartbeat() == FENCED_INSTANCE_ID
    static.sync()
    assert static.syncs[-1].error_code == FENCED_INSTANCE_ID
    assert static.leave() == FENCED_INSTANCE_ID


@pytest.mark.parametrize(("version", "leads", "skips"), [(8, False, False), (9, True, True)])
def test_a_static_leader_that_returns_does_not_assign_again(
    stage: Stage, version: int, leads: bool, skips: bool
) -> None:
    settle(Client(stage, instance_id="i"))
    again = Client(stage, instance_id="i")
    again.join(version=version)
    assert again.leads is leads
    assert again.joins[-1].skip_assignment is skips


def test_a_waiting_static_member_is_told_that_it_was_replaced(stage: Stage) -> None:
    first = Client(stage)
    settle(first)
    static, again = Client(stage, instance_id="i"), Client(stage, instance_id="i")
    static.join()
    again.join()
    assert static.joins[-1].error_code == FENCED_INSTANCE_ID
    first.join()
    assert again.joins[-1].error_code == OK


def test_a_restarting_static_member_keeps_its_place_for_a_session(stage: Stage) -> None:
    static = Client(stage, instance_id="i", session_ms=REBALANCE_MS * 2)
    settle(static)
    other = Client(stage)
    other.join()
    stage.timers.advance(REBALANCE_MS / 1000)
    assert other.joins[-1].error_code == OK
    assert other.leads
    assert static.member_id in stage.group().members


def test_an_administrator_removes_a_static_member_by_its_name(stage: Stage) -> None:
    settle(Client(stage, instance_id="i"))
    stage.coordinator.leave("g", "", "i")
    assert stage.group().state is ClassicState.EMPTY
    with pytest.raises(UnknownMemberId):
        stage.coordinator.leave("g", "", "i")


# What is written ----------------------------------------------------------------------------------


def test_members_go_on_after_a_restart_of_the_broker(stage: Stage) -> None:
    first, second = Client(stage), Client(stage, instance_id="i")
    settle(first, second)
    stage.restart()
    assert [first.heartbeat(), second.heartbeat()] == [OK, OK]
    second.sync()
    assert second.syncs[-1].assignment == second.member_id.encode()


def test_a_member_that_died_with_the_broker_is_missed_by_its_session(stage: Stage) -> None:
    first, second = Client(stage), Client(stage)
    settle(first, second)
    stage.restart()
    stage.timers.advance(SESSION_MS / 1000 - 1)
    assert second.heartbeat() == OK
    stage.timers.advance(1)
    assert second.heartbeat() == REBALANCE_IN_PROGRESS
    second.join()
    assert list(stage.group().members) == [second.member_id]


def test_an_assignment_that_cannot_be_written_is_not_announced(stage: Stage) -> None:
    first, second = Client(stage), Client(stage)
    first.join()
    second.join()
    first.join()
    second.sync()
    stage.refuse_writes = KafkaStorageError("disk full")
    first.sync({})
    assert [c.syncs[-1].error_code for c in (first, second)] == [KAFKA_STORAGE_ERROR] * 2
    assert stage.group().state is ClassicState.PREPARING_REBALANCE
    stage.refuse_writes = None
    settle(first, second)
    assert stage.group().state is ClassicState.STABLE


def test_subscribed_topics_reads_what_clients_write() -> None:
    raw = b"\x00\x01\x00\x00\x00\x02\x00\x01a\x00\x02bc\xff\xff\xff\xff"
    assert subscribed_topics(raw) == {"a", "bc"}
    assert subscribed_topics(b"") is None
    assert subscribed_topics(b"\x00\x01\x00\x00\x00\x02\x00\x01a") is None


# The first rebalance
# -------------------------------------------------------------------------------


def test_the_first_member_waits_for_others_as_long_as_they_come() -> None:
    stage = Stage(group_initial_rebalance_delay_ms=3_000)
    first, second, third = Client(stage), Client(stage), Client(stage)
    first.join()
    stage.timers.advance(2)
    second.join()
    stage.timers.advance(2)
    third.join()
    assert [first.joins, second.joins, third.joins] == [[], [], []]
    stage.timers.advance(2)  # 6 s: the third came while they waited for the second time
    assert first.joins == []
    stage.timers.advance(3)
    assert {c.generation_id for c in (first, second, third)} == {1}


def test_the_first_wait_is_no_longer_than_the_rebalance_may_take() -> None:
    stage = Stage(group_initial_rebalance_delay_ms=3_000)
    first = Client(stage, rebalance_ms=4_000)
    first.join()
    stage.timers.advance(2)
    second = Client(stage, rebalance_ms=4_000)
    second.join()
    stage.timers.advance(2)
    assert first.generation_id == second.generation_id == 1
    # A later one does not wait: the group is not empty.
    third = Client(stage)
    third.join()
    first.join()
    second.join()
    assert third.generation_id == 2


def test_a_member_that_leaves_while_others_are_awaited_is_not_counted() -> None:
    stage = Stage(group_initial_rebalance_delay_ms=3_000)
    client = Client(stage)
    client._join("g", version=3)
    member = next(iter(stage.group().members))
    stage.coordinator.leave("g", member, None)
    stage.timers.advance(3)
    assert stage.group().state is ClassicState.EMPTY
