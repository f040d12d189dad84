"""Every group request in every advertised version, through the broker's dispatch, and again after a
restart.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.broker.caller import Caller
from tests.served import every_version
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.groups import offset_handlers
from zerocopy_lab.broker.groups.store import OFFSETS_TOPIC, partition_of
from zerocopy_lab.broker.settings import BrokerSettings, GroupSettings
from zerocopy_lab.errors import CoordinatorNotAvailable
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.versions import ApiKey

SUBSCRIPTION = b"\x00\x01\x00\x00\x00\x01\x00\x01t\xff\xff\xff\xff"  # version 1, topic "t"


def reopened(broker: Broker) -> Broker:
    broker.close()
    return Broker(broker.settings)


def join(caller: Caller, version: int = 9, group_id: str = "g", **values: Any) -> Any:
    types = caller.types(ApiKey.join_group, version)
    values = {
        "group_id": group_id,
        "session_timeout": timedelta(seconds=30),
        "rebalance_timeout": timedelta(seconds=60),
        "member_id": "",
        "group_instance_id": None,
        "protocol_type": "consumer",
        "protocols": (types.JoinGroupRequestProtocol(name="range", metadata=SUBSCRIPTION),),
        **values,
    }
    response = caller.call(ApiKey.join_group, version, **values)
    if response.error_code == 79:
        values["member_id"] = response.member_id
        response = caller.call(ApiKey.join_group, version, **values)
    return response


def sync(caller: Caller, joined: Any, version: int = 5, **values: Any) -> Any:
    types = caller.types(ApiKey.sync_group, version)
    mine = types.SyncGroupRequestAssignment(member_id=joined.member_id, assignment=b"all")
    values = {
        "group_id": "g",
        "generation_id": joined.generation_id,
        "member_id": joined.member_id,
        "group_instance_id": None,
        "protocol_type": "consumer",
        "protocol_name": "range",
        "assignments": (mine,),
        **values,
    }
    return caller.call(ApiKey.sync_group, version, **values)


def commit(caller: Caller, offset: int, version: int = 9, partition: int = 0, **values: Any) -> int:
    """Commits for t-`partition` and returns the error code."""
    types = caller.types(ApiKey.offset_commit, version)
    part = {
        "partition_index": partition,
        "committed_offset": offset,
        "committed_leader_epoch": 3,
        "committed_metadata": "m",
    }
    part = {k: v for k, v in part.items() if k in fields(types.OffsetCommitRequestPartition)}
    name = values.pop("topic", "t")
    info = caller.broker.logs.topics().get(name)
    topic = messages.make(
        types.OffsetCommitRequestTopic,
        name=name,
        topic_id=info.topic_id if info else uuid4(),
        partitions=(types.OffsetCommitRequestPartition(**part),),
    )
    values = {
        "group_id": "g",
        "generation_id_or_member_epoch": -1,
        "member_id": "",
        "retention_time": timedelta(milliseconds=-1),
        "topics": (topic,),
        **values,
    }
    response = caller.call(ApiKey.offset_commit, version, **values)
    return int(response.topics[0].partitions[0].error_code)


def fields(entity_type: Any) -> Any:
    return entity_type.__dataclass_fields__


def committed(caller: Caller, group_id: str = "g") -> dict[tuple[str, int], int]:
    response = caller.call(ApiKey.offset_fetch, 7, group_id=group_id, topics=None)
    return {
        (topic.name, part.partition_index): part.committed_offset
        for topic in response.topics
        for part in topic.partitions
    }


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.join_group))
def test_join(broker: Broker, key: ApiKey, version: int) -> None:
    answer = join(Caller(broker), version)
    assert answer.error_code == 0
    assert answer.generation_id == 1
    assert answer.leader == answer.member_id
    assert answer.protocol_name == "range"
    assert [m.metadata for m in answer.members] == [SUBSCRIPTION]
    refused = join(Caller(broker), version, group_id="")
    assert refused.error_code == 24
    assert refused.members == ()


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.sync_group))
def test_sync(broker: Broker, key: ApiKey, version: int) -> None:
    caller = Caller(broker)
    joined = join(caller)
    answer = sync(caller, joined, version)
    assert (answer.error_code, answer.assignment) == (0, b"all")
    wrong = sync(caller, joined, version, generation_id=7)
    assert (wrong.error_code, wrong.assignment) == (22, b"")


def test_sync_has_to_name_the_protocol_it_believes_in(broker: Broker) -> None:
    caller = Caller(broker)
    joined = join(caller)
    for values in ({"protocol_name": None}, {"protocol_name": "sticky"}, {"protocol_type": "x"}):
        assert sync(caller, joined, 5, **values).error_code == 23
    assert sync(caller, joined, 5).error_code == 0


def test_two_members_wait_for_each_other(broker: Broker) -> None:
    first, second = Caller(broker, "first"), Caller(broker, "second")
    leader = join(first, 3)
    sync(first, leader)
    types = second.types(ApiKey.join_group, 3)
    protocols = (types.JoinGroupRequestProtocol(name="range", metadata=SUBSCRIPTION),)
    waiting = second.start(
        ApiKey.join_group,
        3,
        group_id="g",
        session_timeout=timedelta(seconds=30),
        rebalance_timeout=timedelta(seconds=60),
        member_id="",
        protocol_type="consumer",
        protocols=protocols,
    )
    assert waiting == []
    again = join(first, 3, member_id=leader.member_id)
    assert again.generation_id == waiting[0].generation_id == 2
    assert {m.member_id for m in again.members} == {leader.member_id, waiting[0].member_id}


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.heartbeat))
def test_heartbeat(broker: Broker, key: ApiKey, version: int) -> None:
    caller = Caller(broker)
    joined = join(caller)
    known = {"group_id": "g", "generation_id": 1, "member_id": joined.member_id}
    assert caller.call(key, version, **known).error_code == 0
    assert caller.call(key, version, **{**known, "generation_id": 0}).error_code == 22
    assert caller.call(key, version, **{**known, "member_id": "x"}).error_code == 25


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.leave_group))
def test_leave(broker: Broker, key: ApiKey, version: int) -> None:
    caller = Caller(broker)
    joined = join(caller)
    if version < 3:
        values: dict[str, Any] = {"member_id": joined.member_id}
    else:
        identity = caller.types(key, version).MemberIdentity
        who = [identity(member_id=m, group_instance_id=None) for m in (joined.member_id, "x")]
        values = {"members": tuple(who)}
    answer = caller.call(key, version, group_id="g", **values)
    assert answer.error_code == 0
    if version >= 3:
        assert [m.error_code for m in answer.members] == [0, 25]
    assert broker.groups.coordinator.groups["g"].members == {}


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.find_coordinator))
def test_find_coordinator(broker: Broker, key: ApiKey, version: int) -> None:
    answer = Caller(broker).call(key, version, key="g", key_type=0, coordinator_keys=("g",))
    found = answer.coordinators[0] if version >= 4 else answer
    assert (found.error_code, found.node_id, found.host, found.port) == (0, 0, "localhost", 9092)
    if version >= 1:
        answer = Caller(broker).call(key, version, key="x", key_type=1, coordinator_keys=("x",))
        found = answer.coordinators[0] if version >= 4 else answer
        # 53 is what librdkafka takes for final; Java shows the words with any other code.
        code = 53 if version < 4 else 42
        assert (found.error_code, found.host, found.port) == (code, "", -1)
        assert "no transactions" in found.error_message


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.offset_commit))
def test_commit_survives_a_restart(broker: Broker, key: ApiKey, version: int) -> None:
    caller = Caller(broker)
    assert commit(caller, 41, version) == 0
    assert commit(caller, 42, version) == 0
    assert commit(caller, 7, version, partition=4) == 3  # unknown partition
    assert commit(caller, 7, version, topic="nowhere") == (3 if version < 10 else 100)
    with reopened(broker) as again:
        assert committed(Caller(again)) == {("t", 0): 42}


def test_a_member_commits_with_its_generation_and_nobody_else(broker: Broker) -> None:
    caller = Caller(broker)
    joined = join(caller)
    member = {"member_id": joined.member_id, "generation_id_or_member_epoch": 1}
    assert commit(caller, 1, **member) == 27  # no assignment yet
    sync(caller, joined)
    assert commit(caller, 1, **member) == 0
    assert commit(caller, 2, **{**member, "generation_id_or_member_epoch": 0}) == 22
    assert commit(caller, 2, **{**member, "member_id": "x"}) == 25
    assert commit(caller, 2) == 25
    assert committed(caller) == {("t", 0): 1}


def test_topics_are_named_by_their_ids_since_version_10(broker: Broker) -> None:
    caller = Caller(broker)
    commit(caller, 42)
    broker.logs.create_topic("gone", 1)
    commit(caller, 43, topic="gone")
    topic_id, stranger = broker.logs.topics()["t"].topic_id, uuid4()
    broker.logs.delete_topic("gone", lambda topic: None)  # its offsets are still there
    types = caller.types(ApiKey.offset_fetch, 10)
    topics = tuple(
        types.OffsetFetchRequestTopics(topic_id=one, partition_indexes=(0,))
        for one in (topic_id, stranger)
    )
    groups = tuple(
        types.OffsetFetchRequestGroup(group_id="g", topics=asked) for asked in (topics, None)
    )
    named, everything = caller.call(ApiKey.offset_fetch, 10, groups=groups).groups
    found = [(t.topic_id, t.partitions[0].committed_offset) for t in named.topics]
    assert found == [(topic_id, 42), (stranger, -1)]
    assert [t.partitions[0].error_code for t in named.topics] == [0, 100]
    assert [t.topic_id for t in everything.topics] == [topic_id]


def test_what_was_committed_is_not_told_a_thousand_times(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = Caller(broker)
    commit(caller, 42)
    types = caller.types(ApiKey.offset_fetch, 9)
    topic = types.OffsetFetchRequestTopics(name="t", partition_indexes=(0, 1) * 1000)
    group = types.OffsetFetchRequestGroup(group_id="g", topics=(topic, topic))
    (once,) = caller.call(ApiKey.offset_fetch, 9, groups=(group,)).groups
    assert [part.partition_index for part in once.topics[0].partitions] == [0, 1]
    assert len(once.topics) == 1
    monkeypatch.setattr(offset_handlers, "MOST_TOLD", 2)
    groups = tuple(
        types.OffsetFetchRequestGroup(group_id="g", topics=None, member_id=f"{n}", member_epoch=-1)
        for n in range(3)
    )
    told = caller.call(ApiKey.offset_fetch, 9, groups=groups).groups
    assert [(one.error_code, len(one.topics)) for one in told] == [(0, 1), (0, 1), (42, 0)]


def test_metadata_beyond_the_limit_is_refused(broker: Broker) -> None:
    caller = Caller(broker)
    types = caller.types(ApiKey.offset_commit, 9)
    parts = tuple(
        types.OffsetCommitRequestPartition(
            partition_index=index, committed_offset=5, committed_metadata="x" * length
        )
        for index, length in enumerate([4096, 4097])
    )
    answer = caller.call(
        ApiKey.offset_commit,
        9,
        group_id="g",
        member_id="",
        topics=(types.OffsetCommitRequestTopic(name="t", partitions=parts),),
    )
    assert [p.error_code for p in answer.topics[0].partitions] == [0, 12]
    assert committed(caller) == {("t", 0): 5}


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.offset_fetch))
def test_fetch_offsets(broker: Broker, key: ApiKey, version: int) -> None:
    caller = Caller(broker)
    commit(caller, 42)
    types = caller.types(key, version)
    if version < 8:
        wanted = types.OffsetFetchRequestTopic(name="t", partition_indexes=(0, 1))
        answer = caller.call(key, version, group_id="g", topics=(wanted,))
    else:
        wanted = messages.make(
            types.OffsetFetchRequestTopics,
            name="t",
            topic_id=broker.logs.topics()["t"].topic_id,
            partition_indexes=(0, 1),
        )
        group = types.OffsetFetchRequestGroup(group_id="g", topics=(wanted,))
        answer = caller.call(key, version, groups=(group,)).groups[0]
    first, second = answer.topics[0].partitions
    assert (first.committed_offset, first.metadata, first.error_code) == (42, "m", 0)
    assert (second.committed_offset, second.metadata, second.error_code) == (-1, "", 0)
    if version >= 5:
        assert (first.committed_leader_epoch, second.committed_leader_epoch) == (3, -1)


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.describe_groups))
def test_describe(broker: Broker, key: ApiKey, version: int) -> None:
    caller = Caller(broker)
    joined = join(caller)
    sync(caller, joined)
    answer = caller.call(key, version, groups=("g", "x"), include_authorized_operations=False)
    group, unknown = answer.groups
    assert (group.group_state, group.protocol_type, group.protocol_data) == (
        "Stable",
        "consumer",
        "range",
    )
    member = group.members[0]
    assert (member.member_id, member.client_id) == (joined.member_id, "caller")
    assert (member.client_host, member.member_assignment) == ("/127.0.0.1", b"all")
    assert member.member_metadata == SUBSCRIPTION
    assert unknown.group_state == "Dead"
    assert unknown.error_code == (69 if version >= 6 else 0)


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.list_groups))
def test_list(broker: Broker, key: ApiKey, version: int) -> None:
    caller = Caller(broker)
    join(caller, group_id="consumers")
    commit(caller, 1, group_id="offsets-only")
    answer = caller.call(key, version, states_filter=(), types_filter=())
    assert [(g.group_id, g.protocol_type) for g in answer.groups] == [
        ("consumers", "consumer"),
        ("offsets-only", ""),
    ]
    if version >= 4:
        empty = caller.call(key, version, states_filter=("empty",), types_filter=())
        assert [(g.group_id, g.group_state) for g in empty.groups] == [("offsets-only", "Empty")]
    if version >= 5:
        none = caller.call(key, version, states_filter=(), types_filter=("consumer",))
        assert none.groups == ()


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.delete_groups))
def test_delete_groups(broker: Broker, key: ApiKey, version: int) -> None:
    caller = Caller(broker)
    join(caller, group_id="busy")
    commit(caller, 1, group_id="done")
    answer = caller.call(key, version, groups_names=("busy", "done", "unknown"))
    assert [r.error_code for r in answer.results] == [68, 0, 69]
    with reopened(broker) as again:
        assert committed(Caller(again), "done") == {}
        assert "done" not in again.groups.coordinator.groups


def test_delete_offsets_of_topics_that_nobody_reads(broker: Broker) -> None:
    broker.logs.create_topic("old", 1)
    caller = Caller(broker)
    commit(caller, 5)
    commit(caller, 6, topic="old")
    joined = join(caller)
    sync(caller, joined)
    types = caller.types(ApiKey.offset_delete, 0)
    part = types.OffsetDeleteRequestPartition(partition_index=0)
    topics = tuple(
        types.OffsetDeleteRequestTopic(name=name, partitions=(part,))
        for name in ("t", "old", "nowhere")
    )
    answer = caller.call(ApiKey.offset_delete, 0, group_id="g", topics=topics)
    assert [t.partitions[0].error_code for t in answer.topics] == [86, 0, 3]
    assert caller.call(ApiKey.offset_delete, 0, group_id="x", topics=()).error_code == 69
    with reopened(broker) as again:
        assert committed(Caller(again)) == {("t", 0): 5}


def test_members_survive_a_restart(broker: Broker) -> None:
    caller = Caller(broker)
    joined = join(caller)
    sync(caller, joined)
    with reopened(broker) as again:
        caller = Caller(again)
        member = {"group_id": "g", "member_id": joined.member_id, "generation_id": 1}
        assert caller.call(ApiKey.heartbeat, 4, **member).error_code == 0
        assert sync(caller, joined, assignments=()).assignment == b"all"


def test_the_offsets_of_a_deleted_topic_are_forgotten(broker: Broker) -> None:
    commit(Caller(broker), 5)
    broker.groups.offsets.forget_topic("t")
    with reopened(broker) as again:
        assert committed(Caller(again)) == {}


def test_a_commit_that_races_a_deletion_leaves_nothing_behind(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The topic goes between the commit's arrival and the moment in which it is written."""
    offsets = broker.groups.offsets
    write = offsets.commit

    def too_late(*request: Any) -> Any:
        broker.logs.delete_topic("t", offsets.forget_topic)
        return write(*request)

    monkeypatch.setattr(offsets, "commit", too_late)
    assert commit(Caller(broker), 5) == 3
    broker.logs.create_topic("t", 4)
    assert committed(Caller(broker)) == {}


def test_a_topic_is_forgotten_when_that_is_on_the_disk(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(Caller(broker), 5)
    log = broker.logs.find(OFFSETS_TOPIC, 0)
    ends_when_flushed: list[int] = []
    monkeypatch.setattr(
        type(log), "flush", lambda self: ends_when_flushed.append(self.log_end_offset)
    )
    broker.groups.offsets.forget_topic("t")
    assert ends_when_flushed == [log.log_end_offset]
    monkeypatch.undo()
    real = broker.logs.get
    monkeypatch.setattr(
        broker.logs, "get", lambda *where: None if where[0] == OFFSETS_TOPIC else real(*where)
    )
    with pytest.raises(CoordinatorNotAvailable):  # what is in the part that is offline?
        broker.groups.offsets.forget_topic("t")


def test_groups_are_spread_over_the_partitions_as_in_kafka(tmp_path: Path) -> None:
    groups = GroupSettings(offsets_topic_num_partitions=50)
    with Broker(BrokerSettings(log_dirs=(tmp_path,), groups=groups)) as broker:
        broker.logs.create_topic("t", 1)
        for name in ("a", "b", "my-group"):
            commit(Caller(broker), 1, group_id=name)
        filled = [
            log.partition
            for log in broker.logs.logs()
            if log.topic == OFFSETS_TOPIC and log.log_end_offset
        ]
    # Java: "a".hashCode() == 97, "b".hashCode() == 98, "my-group".hashCode() == -1906497762
    assert sorted(filled) == sorted([97 % 50, 98 % 50, 1906497762 % 50])


@pytest.mark.parametrize(
    ("group_id", "hash_code"),
    [("", 0), ("hello", 99162322), ("polygenelubricants", -(1 << 31)), ("한국어", 53916739)],
)
def test_partition_of_is_javas_hash_code(group_id: str, hash_code: int) -> None:
    positive = 0 if hash_code == -(1 << 31) else abs(hash_code)
    assert partition_of(group_id, 1 << 40) == positive
