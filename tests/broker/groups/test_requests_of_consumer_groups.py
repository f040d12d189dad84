"""The requests of the new consumer protocol in every version, through the broker's dispatch, and
what the two protocols say to each other's groups.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.broker.caller import Caller
from tests.broker.groups.test_requests_of_groups import commit, committed, join, reopened, sync
from tests.served import every_version
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.protocol.versions import ApiKey

HEARTBEAT = ApiKey.consumer_group_heartbeat
DESCRIBE = ApiKey.consumer_group_describe


def beat(caller: Caller, epoch: int, version: int = 1, member_id: str = "a", **values: Any) -> Any:
    """A heartbeat; one that joins unless the epoch says otherwise."""
    if epoch == 0:
        values = {
            "rebalance_timeout": timedelta(seconds=60),
            "subscribed_topic_names": ("t",),
            "topic_partitions": (),
            **values,
        }
    values = {"group_id": "g", "member_id": member_id, "topic_partitions": None, **values}
    return caller.call(HEARTBEAT, version, member_epoch=epoch, **values)


@pytest.mark.parametrize(("key", "version"), every_version(HEARTBEAT))
def test_heartbeat(broker: Broker, key: ApiKey, version: int) -> None:
    caller = Caller(broker)
    joined = beat(caller, 0, version)
    assert (joined.error_code, joined.member_id, joined.member_epoch) == (0, "a", 1)
    assert joined.heartbeat_interval == timedelta(seconds=5)
    (topic,) = joined.assignment.topic_partitions
    assert topic.topic_id == broker.logs.topics()["t"].topic_id
    assert topic.partitions == (0, 1, 2, 3)
    again = beat(caller, 1, version)
    assert (again.error_code, again.assignment) == (0, None)
    fenced = beat(caller, 9, version)
    assert (fenced.error_code, fenced.assignment) == (110, None)
    assert "epoch 1, not 9" in fenced.error_message
    left = beat(caller, -1, version)
    assert (left.error_code, left.member_epoch) == (0, -1)


def test_a_member_without_an_id_is_given_one_as_before_version_1(broker: Broker) -> None:
    joined = beat(Caller(broker), 0, 0, member_id="")
    assert joined.error_code == 0
    assert joined.member_id
    assert beat(Caller(broker), 0, 1, member_id="").error_code == 42


@pytest.mark.parametrize(("key", "version"), every_version(DESCRIBE))
def test_describe(broker: Broker, key: ApiKey, version: int) -> None:
    caller = Caller(broker)
    beat(caller, 0, instance_id="i")
    commit(caller, 1, group_id="classic")
    answer = caller.call(
        key, version, group_ids=("g", "classic", "x"), include_authorized_operations=True
    )
    group, classic, unknown = answer.groups
    assert (group.group_state, group.group_epoch, group.assignment_epoch) == ("Stable", 1, 1)
    assert (group.assignor_name, group.authorized_operations) == ("uniform", 3400)
    (member,) = group.members
    assert (member.member_id, member.instance_id, member.member_epoch) == ("a", "i", 1)
    assert (member.client_id, member.client_host) == ("caller", "/127.0.0.1")
    assert member.subscribed_topic_names == ("t",)
    assert member.assignment == member.target_assignment
    (topic,) = member.assignment.topic_partitions
    assert (topic.topic_name, topic.partitions) == ("t", (0, 1, 2, 3))
    assert [classic.error_code, unknown.error_code] == [69, 69]


def test_members_commit_with_their_epoch(broker: Broker) -> None:
    caller = Caller(broker)
    beat(caller, 0)
    member: dict[str, Any] = {"member_id": "a", "generation_id_or_member_epoch": 1}
    assert commit(caller, 5, **member) == 0
    assert commit(caller, 6, **{**member, "generation_id_or_member_epoch": 0}) == 113
    assert commit(caller, 6, **{**member, "member_id": "b"}) == 25
    assert commit(caller, 6) == 25
    assert commit(caller, 6, 8, **member) == 35
    types = caller.types(ApiKey.offset_fetch, 9)
    asked = {"group_id": "g", "topics": None}
    answer = caller.call(
        ApiKey.offset_fetch,
        9,
        groups=tuple(
            types.OffsetFetchRequestGroup(**asked, member_id=name, member_epoch=epoch)
            for name, epoch in [("a", 1), ("a", 0), ("b", 1), (None, -1)]
        ),
    )
    assert [group.error_code for group in answer.groups] == [0, 113, 25, 0]
    assert [len(group.topics) for group in answer.groups] == [1, 0, 0, 1]


def test_members_survive_a_restart(broker: Broker) -> None:
    beat(Caller(broker), 0)
    with reopened(broker) as again:
        answer = beat(Caller(again), 1)
        assert (answer.error_code, answer.member_epoch) == (0, 1)


def test_a_group_with_members_is_for_its_own_protocol(broker: Broker) -> None:
    caller = Caller(broker)
    beat(caller, 0, group_id="new")
    assert join(caller, group_id="new").error_code == 23
    joined = join(caller, group_id="old")
    sync(caller, joined, group_id="old")
    assert beat(caller, 0, group_id="old").error_code == 69
    who = {"generation_id": 1, "member_id": "a"}
    assert caller.call(ApiKey.heartbeat, 4, group_id="new", **who).error_code == 25
    described = caller.call(
        ApiKey.describe_groups, 6, groups=("new",), include_authorized_operations=False
    )
    assert (described.groups[0].error_code, described.groups[0].group_state) == (69, "Dead")


def test_an_empty_group_is_taken_over_with_its_offsets(broker: Broker) -> None:
    caller = Caller(broker)
    assert commit(caller, 7) == 0
    assert beat(caller, 0).error_code == 0
    assert committed(caller) == {("t", 0): 7}
    beat(caller, -1)
    assert join(caller).error_code == 0
    assert committed(caller) == {("t", 0): 7}
    with reopened(broker) as again:
        listed = Caller(again).call(ApiKey.list_groups, 5, states_filter=(), types_filter=())
        assert [(g.group_id, g.group_type) for g in listed.groups] == [("g", "classic")]
        assert committed(Caller(again)) == {("t", 0): 7}


def test_list_and_delete(broker: Broker) -> None:
    caller = Caller(broker)
    beat(caller, 0)
    listed = caller.call(ApiKey.list_groups, 5, states_filter=(), types_filter=("Consumer",))
    assert [(g.group_id, g.group_state, g.protocol_type) for g in listed.groups] == [
        ("g", "Stable", "consumer")
    ]
    delete = ApiKey.delete_groups
    assert caller.call(delete, 2, groups_names=("g",)).results[0].error_code == 68
    beat(caller, -1)
    assert caller.call(delete, 2, groups_names=("g",)).results[0].error_code == 0
    with reopened(broker) as again:
        assert again.groups.coordinator.groups == {}


def test_an_administrator_removes_members(broker: Broker) -> None:
    caller = Caller(broker)
    beat(caller, 0)
    beat(caller, 0, member_id="b", instance_id="i")
    identity = caller.types(ApiKey.leave_group, 5).MemberIdentity
    who = (
        identity(member_id="a", group_instance_id=None),
        identity(member_id="", group_instance_id="i"),
        identity(member_id="x", group_instance_id=None),
    )
    answer = caller.call(ApiKey.leave_group, 5, group_id="g", members=who)
    assert [member.error_code for member in answer.members] == [0, 0, 25]
    assert broker.groups.coordinator.groups["g"].is_empty


def test_offsets_of_topics_that_are_read_cannot_be_deleted(broker: Broker) -> None:
    caller = Caller(broker)
    commit(caller, 5)
    beat(caller, 0)
    types = caller.types(ApiKey.offset_delete, 0)
    part = types.OffsetDeleteRequestPartition(partition_index=0)
    topic = types.OffsetDeleteRequestTopic(name="t", partitions=(part,))
    answer = caller.call(ApiKey.offset_delete, 0, group_id="g", topics=(topic,))
    assert answer.topics[0].partitions[0].error_code == 86
