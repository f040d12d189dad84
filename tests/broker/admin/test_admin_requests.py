"""Every admin request in every advertised version, through the broker's dispatch."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.broker.caller import Caller
from tests.served import every_version
from zerocopy_lab.broker.admin.config_entries import TOPIC_NAMES
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.log import TopicSettings
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.record import Record, build_batch

TOPIC, BROKER = 2, 4
SET, DELETE, APPEND, SUBTRACT = range(4)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    defaults = TopicSettings.from_kafka({"segment.bytes": "1048576"})
    settings = BrokerSettings(
        log_dirs=(tmp_path / "a", tmp_path / "b"), topic_defaults=defaults, max_partitions=50
    )
    with Broker(settings) as broker:
        broker.advertise("localhost", 9092)
        yield broker


@pytest.fixture
def caller(broker: Broker) -> Caller:
    return Caller(broker)


def create(
    caller: Caller, version: int, *wanted: dict[str, Any], validate_only: bool = False
) -> Any:
    """CreateTopics; each of `wanted` has a name and what differs from one plain partition."""
    types = caller.types(ApiKey.create_topics, version)
    topics = []
    for values in wanted:
        configs = tuple(
            types.CreatableTopicConfig(name=name, value=value)
            for name, value in values.pop("configs", {}).items()
        )
        assignments = tuple(
            types.CreatableReplicaAssignment(partition_index=index, broker_ids=replicas)
            for index, replicas in values.pop("assignments", {}).items()
        )
        numbers = {"num_partitions": 1, "replication_factor": 1}
        if assignments:
            numbers = {"num_partitions": -1, "replication_factor": -1}
        topics.append(
            types.CreatableTopic(**{**numbers, **values}, configs=configs, assignments=assignments)
        )
    return caller.call(
        ApiKey.create_topics,
        version,
        topics=tuple(topics),
        timeout=timedelta(seconds=1),
        validate_only=validate_only,
    ).topics


def codes(answers: Any) -> list[int]:
    return [int(answer.error_code) for answer in answers]


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.create_topics))
def test_create_topics(broker: Broker, caller: Caller, key: ApiKey, version: int) -> None:
    answers = create(
        caller,
        version,
        {"name": "plain"},
        {"name": "set", "num_partitions": 3, "configs": {"retention.ms": "5"}},
        {"name": "placed", "assignments": {0: (0,), 1: (0,)}},
        {"name": "../x"},
        {"name": "bad", "configs": {"retention.ms": "soon"}},
        {"name": "unknown-setting", "configs": {"no.such": "1"}},
        {"name": "null", "configs": {"retention.ms": None}},
        {"name": "copies", "replication_factor": 2},
        {"name": "none", "num_partitions": 0},
        {"name": "elsewhere", "assignments": {0: (1,)}},
        {"name": "gap", "assignments": {0: (0,), 2: (0,)}},
        {"name": "both", "assignments": {0: (0,)}, "num_partitions": 1},
        {"name": "many", "num_partitions": 10_001},
        {"name": "full", "num_partitions": 46},
        {"name": "twice"},
        {"name": "twice"},
    )
    assert codes(answers) == [0, 0, 0, 17, 40, 40, 40, 38, 37, 39, 39, 42, 44, 44, 42, 42]
    assert all(answer.error_message for answer in answers[3:])
    topics = broker.logs.topics()
    assert {name: topic.partitions for name, topic in topics.items()} == {
        "plain": 1,
        "set": 3,
        "placed": 2,
    }
    assert topics["set"].settings.retention_ms == 5
    assert codes(create(caller, version, {"name": "plain"})) == [36]
    if version >= 5:
        answer = answers[1]
        assert (answer.num_partitions, answer.replication_factor) == (3, 1)
        told = {config.name: (config.value, config.config_source) for config in answer.configs}
        assert told["retention.ms"] == ("5", 1)
        assert told["flush.messages"] == (str(2**63 - 1), 5)
    if version >= 7:
        assert answers[0].topic_id == topics["plain"].topic_id


def test_create_topics_may_only_look(broker: Broker, caller: Caller) -> None:
    answers = create(
        caller, 7, {"name": "t"}, {"name": "..", "num_partitions": 1}, validate_only=True
    )
    assert codes(answers) == [0, 17]
    assert not broker.logs.topics()


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.delete_topics))
def test_delete_topics(broker: Broker, caller: Caller, key: ApiKey, version: int) -> None:
    create(caller, 7, {"name": "t"}, {"name": "u"})
    broker.logs.create_topic("__consumer_offsets", 1)
    values: dict[str, Any] = {"topic_names": ("t", "x", "__consumer_offsets")}
    if version >= 6:
        state = caller.types(key, version).DeleteTopicState
        values = {
            "topics": (
                state(name="t", topic_id=None),
                state(name="x", topic_id=None),
                state(name="__consumer_offsets", topic_id=None),
                state(name=None, topic_id=broker.logs.topics()["u"].topic_id),
                state(name=None, topic_id=UUID(int=7)),
            )
        }
    answer = caller.call(key, version, timeout=timedelta(seconds=1), **values)
    assert codes(answer.responses)[:3] == [0, 3, 44]
    assert "t" not in broker.logs.topics()
    if version >= 6:
        assert codes(answer.responses)[3:] == [0, 100]
        assert answer.responses[3].name == "u"
        assert "u" not in broker.logs.topics()


def test_a_deleted_topic_takes_its_committed_offsets_along(broker: Broker, caller: Caller) -> None:
    create(caller, 7, {"name": "t"})
    types = caller.types(ApiKey.offset_commit, 9)
    part = types.OffsetCommitRequestPartition(
        partition_index=0, committed_offset=5, committed_metadata=""
    )
    topics = (types.OffsetCommitRequestTopic(name="t", partitions=(part,)),)
    caller.call(ApiKey.offset_commit, 9, group_id="g", member_id="", topics=topics)
    assert broker.groups.offsets.committed("g")
    caller.call(ApiKey.delete_topics, 5, topic_names=("t",), timeout=timedelta(seconds=1))
    assert not broker.groups.offsets.committed("g")


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.create_partitions))
def test_create_partitions(broker: Broker, caller: Caller, key: ApiKey, version: int) -> None:
    create(caller, 7, {"name": "t"}, {"name": "u"})
    types = caller.types(key, version)

    def wanted(name: str, count: int, *assignments: tuple[int, ...]) -> Any:
        given = tuple(types.CreatePartitionsAssignment(broker_ids=ids) for ids in assignments)
        return types.CreatePartitionsTopic(name=name, count=count, assignments=given or None)

    def call(*topics: Any, validate_only: bool = False) -> list[int]:
        answer = caller.call(
            key,
            version,
            topics=topics,
            timeout=timedelta(seconds=1),
            validate_only=validate_only,
        )
        return codes(answer.results)

    assert call(wanted("t", 3), wanted("x", 3), wanted("u", 1)) == [0, 3, 37]
    assert broker.logs.partitions_of("t") == [0, 1, 2]
    assert call(wanted("u", 3, (0,))) == [39]
    assert call(wanted("u", 2, (7,))) == [39]
    assert call(wanted("u", 2, (0,)), validate_only=True) == [0]
    assert broker.logs.partitions_of("u") == [0]
    assert call(wanted("u", 3, (0,), (0,))) == [0]
    assert call(wanted("u", 51)) == [44]
    assert call(wanted("u", 4), wanted("u", 5)) == [42, 42]
    assert broker.logs.partitions_of("u") == [0, 1, 2]


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.describe_configs))
def test_describe_configs(caller: Caller, key: ApiKey, version: int) -> None:
    create(caller, 7, {"name": "t", "configs": {"retention.ms": "5"}})
    resource = caller.types(key, version).DescribeConfigsResource

    def ask(resource_type: int, name: str, keys: tuple[str, ...] | None = None) -> Any:
        wanted = resource(resource_type=resource_type, resource_name=name, configuration_keys=keys)
        return caller.call(
            key, version, resources=(wanted,), include_synonyms=True, include_documentation=False
        ).results[0]

    told = {entry.name: entry for entry in ask(TOPIC, "t").configs}
    assert set(told) == set(TopicSettings().to_kafka())
    assert (told["retention.ms"].value, told["retention.ms"].config_source) == ("5", 1)
    assert (told["segment.bytes"].value, told["segment.bytes"].config_source) == ("1048576", 4)
    assert told["flush.ms"].config_source == 5
    assert [(s.name, s.value, s.source) for s in told["segment.bytes"].synonyms] == [
        ("log.segment.bytes", "1048576", 4),
        ("log.segment.bytes", "1073741824", 5),
    ]
    if version >= 3:
        types = {name: entry.config_type for name, entry in told.items()}
        assert types["cleanup.policy"] == 7
        assert types["retention.ms"] == 5
        assert types["min.cleanable.dirty.ratio"] == 6
        assert types["compression.type"] == 2
    only = ask(TOPIC, "t", ("flush.ms",))
    assert [entry.name for entry in only.configs] == ["flush.ms"]
    broker = {entry.name: entry for entry in ask(BROKER, "0").configs}
    assert broker["num.partitions"].value == "1"
    assert broker["log.segment.bytes"].value == "1048576"
    assert broker["auto.create.topics.enable"].value == "true"
    assert {name for name, entry in broker.items() if not entry.read_only} == set(TOPIC_NAMES)
    assert ask(BROKER, "").configs == (), "nothing was altered for all brokers"
    assert codes([ask(TOPIC, "x"), ask(BROKER, "7"), ask(8, "0")]) == [3, 42, 42]


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.alter_configs))
def test_alter_configs(broker: Broker, caller: Caller, key: ApiKey, version: int) -> None:
    create(caller, 7, {"name": "t", "configs": {"retention.ms": "5"}})
    types = caller.types(key, version)

    def alter(
        name: str, resource_type: int = TOPIC, validate_only: bool = False, **configs: str
    ) -> int:
        resource = types.AlterConfigsResource(
            resource_type=resource_type,
            resource_name=name,
            configs=tuple(
                types.AlterableConfig(name=name.replace("_", "."), value=value)
                for name, value in configs.items()
            ),
        )
        answer = caller.call(key, version, resources=(resource,), validate_only=validate_only)
        return codes(answer.responses)[0]

    assert alter("t", flush_ms="7", validate_only=True) == 0
    assert broker.logs.topics()["t"].settings.overrides == {"retention.ms": "5"}
    assert alter("t", flush_ms="7") == 0
    assert broker.logs.topics()["t"].settings.overrides == {"flush.ms": "7"}
    assert [alter("t", flush_ms="x"), alter("x"), alter("1", BROKER)] == [40, 3, 42]
    assert broker.logs.topics()["t"].settings.flush_ms == 7


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.incremental_alter_configs))
def test_incremental_alter_configs(
    broker: Broker, caller: Caller, key: ApiKey, version: int
) -> None:
    create(caller, 7, {"name": "t", "configs": {"retention.ms": "5"}})
    types = caller.types(key, version)

    def alter(*changes: tuple[str, int, str | None], name: str = "t", again: int = 1) -> list[int]:
        resource = types.AlterConfigsResource(
            resource_type=TOPIC,
            resource_name=name,
            configs=tuple(
                types.AlterableConfig(name=name, config_operation=operation, value=value)
                for name, operation, value in changes
            ),
        )
        answer = caller.call(key, version, resources=(resource,) * again, validate_only=False)
        return codes(answer.responses)

    def overrides() -> dict[str, str]:
        return dict(broker.logs.topics()["t"].settings.overrides)

    assert alter(("flush.ms", SET, "7")) == [0]
    assert overrides() == {"retention.ms": "5", "flush.ms": "7"}
    assert alter(("retention.ms", DELETE, None), ("cleanup.policy", APPEND, "compact")) == [0]
    assert overrides() == {"flush.ms": "7", "cleanup.policy": "delete,compact"}
    assert alter(("cleanup.policy", SUBTRACT, "delete")) == [0]
    assert overrides() == {"flush.ms": "7", "cleanup.policy": "compact"}
    assert alter(("flush.ms", APPEND, "7")) == [40]
    assert alter(("cleanup.policy", SUBTRACT, "compact")) == [40]
    assert alter(("flush.ms", SET, None)) == [40]
    assert alter(("flush.ms", 9, "1")) == [42]
    assert alter(("flush.ms", SET, "1"), name="x") == [3]
    assert alter(("flush.ms", SET, "1"), again=2) == [42, 42]
    assert overrides() == {"flush.ms": "7", "cleanup.policy": "compact"}


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.describe_cluster))
def test_describe_cluster(broker: Broker, caller: Caller, key: ApiKey, version: int) -> None:
    wanted = {"include_cluster_authorized_operations": False, "include_fenced_brokers": False}
    answer = caller.call(key, version, **wanted)
    assert (answer.error_code, answer.cluster_id) == (0, broker.logs.cluster_id)
    assert answer.controller_id == 0
    assert [(b.broker_id, b.host, b.port) for b in answer.brokers] == [(0, "localhost", 9092)]
    if version >= 1:
        controllers = caller.call(key, version, **wanted, endpoint_type=2)
        assert controllers.error_code == 114


def append(broker: Broker, topic: str, count: int) -> None:
    records = [Record(offset, 0, b"k", b"v" * 10) for offset in range(count)]
    broker.logs.find(topic, 0).append(memoryview(bytearray(build_batch(records))))


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.describe_log_dirs))
def test_describe_log_dirs(broker: Broker, caller: Caller, key: ApiKey, version: int) -> None:
    create(caller, 7, {"name": "t", "num_partitions": 2})
    append(broker, "t", 3)
    answer = caller.call(key, version, topics=None)
    assert [result.log_dir for result in answer.results] == list(map(str, broker.settings.log_dirs))
    sizes = {
        (topic.name, part.partition_index): part.partition_size
        for result in answer.results
        for topic in result.topics
        for part in topic.partitions
    }
    assert sizes == {("t", 0): broker.logs.find("t", 0).size_bytes, ("t", 1): 0}
    assert sizes["t", 0] > 60
    if version >= 4:
        assert all(0 < result.usable_bytes <= result.total_bytes for result in answer.results)
    wanted = caller.types(key, version).DescribableLogDirTopic(topic="t", partitions=(1,))
    answer = caller.call(key, version, topics=(wanted,))
    assert [len(result.topics) for result in answer.results] in ([0, 1], [1, 0])


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.delete_records))
def test_delete_records(broker: Broker, caller: Caller, key: ApiKey, version: int) -> None:
    create(caller, 7, {"name": "t"}, {"name": "c", "configs": {"cleanup.policy": "compact"}})
    append(broker, "t", 10)
    types = caller.types(key, version)

    def delete(topic: str, offset: int, partition: int = 0) -> tuple[int, int]:
        part = types.DeleteRecordsPartition(partition_index=partition, offset=offset)
        wanted = types.DeleteRecordsTopic(name=topic, partitions=(part,))
        answer = caller.call(key, version, topics=(wanted,), timeout=timedelta(seconds=1))
        result = answer.topics[0].partitions[0]
        return int(result.error_code), result.low_watermark

    assert delete("t", 4) == (0, 4)
    assert broker.logs.find("t", 0).log_start_offset == 4
    assert delete("t", 2) == (0, 4)
    assert delete("t", 11) == (1, -1)
    assert delete("t", -1) == (0, 10)
    assert delete("t", 0, partition=1) == (3, -1)
    assert delete("c", 0) == (44, -1)


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.offset_for_leader_epoch))
def test_offset_for_leader_epoch(broker: Broker, caller: Caller, key: ApiKey, version: int) -> None:
    create(caller, 7, {"name": "t"})
    append(broker, "t", 10)
    epoch = broker.logs.find("t", 0).leader_epoch
    types = caller.types(key, version)

    def ask(topic: str, leader_epoch: int, current: int = -1) -> tuple[int, int, int]:
        part = types.OffsetForLeaderPartition(
            partition=0, current_leader_epoch=current, leader_epoch=leader_epoch
        )
        wanted = types.OffsetForLeaderTopic(topic=topic, partitions=(part,))
        answer = caller.call(key, version, replica_id=-1, topics=(wanted,))
        result = answer.topics[0].partitions[0]
        return int(result.error_code), result.leader_epoch, result.end_offset

    assert ask("t", epoch) == (0, epoch, 10)
    assert ask("t", epoch, current=epoch) == (0, epoch, 10)
    assert ask("t", epoch, current=epoch + 1) == (75, -1, -1)
    assert ask("x", epoch) == (3, -1, -1)
    if epoch > 0:
        assert ask("t", epoch, current=epoch - 1) == (74, -1, -1)


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.elect_leaders))
def test_elect_leaders(caller: Caller, key: ApiKey, version: int) -> None:
    create(caller, 7, {"name": "t"})
    wanted = caller.types(key, version).TopicPartitions(topic="t", partitions=(0, 1))
    answer = caller.call(
        key, version, election_type=0, topic_partitions=(wanted,), timeout=timedelta(seconds=1)
    )
    assert codes(answer.replica_election_results[0].partition_result) == [84, 3]
    everything = caller.call(
        key, version, election_type=0, topic_partitions=None, timeout=timedelta(seconds=1)
    )
    assert everything.replica_election_results == ()


def test_names_that_collide_in_metrics(caller: Caller) -> None:
    """Kafka's answers to the same: a dot and an underscore are one character there."""
    assert codes(create(caller, 7, {"name": "a.b"})) == [0]
    for validate_only in (True, False):
        wanted = [{"name": "a_b"}, {"name": "a-b"}, {"name": "a.b"}]
        answers = create(caller, 7, *wanted, validate_only=validate_only)
        assert codes(answers) == [17, 0, 36], validate_only
    assert "collides with the existing topic a.b" in answers[0].error_message
    assert codes(create(caller, 7, {"name": "e_f"})) == [0]
    assert codes(create(caller, 7, {"name": "e.f"})) == [17]


def test_a_broker_s_own_topics_are_closed_to_clients(broker: Broker, caller: Caller) -> None:
    assert codes(create(caller, 7, {"name": "__cluster_metadata"})) == [42]
    offsets = {"name": "__consumer_offsets", "configs": {"cleanup.policy": "delete"}}
    assert codes(create(caller, 7, dict(offsets))) == [40]
    offsets["configs"] = {"cleanup.policy": "compact"}
    assert codes(create(caller, 7, dict(offsets))) == [0]
    batch = build_batch([Record(0, 1, b"forged", b"offset")])
    types = caller.types(ApiKey.produce, 9)
    part = types.PartitionProduceData(index=0, records=batch)
    answer = caller.call(
        ApiKey.produce,
        9,
        transactional_id=None,
        acks=1,
        timeout=timedelta(seconds=1),
        topic_data=(types.TopicProduceData(name="__consumer_offsets", partition_data=(part,)),),
    )
    assert answer.responses[0].partition_responses[0].error_code == 17
    assert broker.logs.find("__consumer_offsets", 0).log_end_offset == 0
    types = caller.types(ApiKey.delete_records, 2)
    part = types.DeleteRecordsPartition(partition_index=0, offset=-1)
    topic = types.DeleteRecordsTopic(name="__consumer_offsets", partitions=(part,))
    answer = caller.call(ApiKey.delete_records, 2, topics=(topic,), timeout=timedelta(seconds=1))
    assert answer.topics[0].partitions[0].error_code == 17
    for operation, value, code in ((SET, "delete", 40), (DELETE, None, 40), (SET, "compact", 0)):
        types = caller.types(ApiKey.incremental_alter_configs, 1)
        config = types.AlterableConfig(
            name="cleanup.policy", config_operation=operation, value=value
        )
        resource = types.AlterConfigsResource(
            resource_type=TOPIC, resource_name="__consumer_offsets", configs=(config,)
        )
        answer = caller.call(
            ApiKey.incremental_alter_configs, 1, resources=(resource,), validate_only=False
        )
        assert codes(answer.responses) == [code]


def test_what_topics_are_given_is_altered_while_the_broker_runs(tmp_path: Path) -> None:
    """For one broker or for all (""), in force at once, and after a restart."""
    given = TopicSettings.from_kafka({"retention.ms": "1000", "segment.bytes": "4096"})
    settings = BrokerSettings(log_dirs=(tmp_path,), topic_defaults=given)

    def alter(broker: Broker, name: str, *changes: tuple[str, int, str | None]) -> int:
        caller = Caller(broker)
        types = caller.types(ApiKey.incremental_alter_configs, 1)
        configs = tuple(
            types.AlterableConfig(name=name, config_operation=operation, value=value)
            for name, operation, value in changes
        )
        resource = types.AlterConfigsResource(
            resource_type=BROKER, resource_name=name, configs=configs
        )
        answer = caller.call(
            ApiKey.incremental_alter_configs, 1, resources=(resource,), validate_only=False
        )
        return codes(answer.responses)[0]

    def told(broker: Broker, kind: int, name: str) -> dict[str, tuple[str, int]]:
        caller = Caller(broker)
        types = caller.types(ApiKey.describe_configs, 4)
        wanted = types.DescribeConfigsResource(
            resource_type=kind, resource_name=name, configuration_keys=None
        )
        (result,) = caller.call(
            ApiKey.describe_configs,
            4,
            resources=(wanted,),
            include_synonyms=True,
            include_documentation=False,
        ).results
        return {entry.name: (entry.value, entry.config_source) for entry in result.configs}

    with Broker(settings) as broker:
        broker.logs.create_topic("plain", 1)
        broker.logs.create_topic("own", 1, {"retention.ms": "7"})
        assert alter(broker, "", ("log.retention.ms", SET, "2000")) == 0
        assert broker.logs.find("plain", 0).settings.retention_ms == 2000
        assert broker.logs.find("plain", 0).settings.segment_bytes == 4096
        assert alter(broker, "0", ("log.retention.ms", SET, "3000")) == 0
        assert broker.logs.find("plain", 0).settings.retention_ms == 3000
        assert broker.logs.find("own", 0).settings.retention_ms == 7
        assert told(broker, BROKER, "") == {"log.retention.ms": ("2000", 3)}
        assert told(broker, BROKER, "0")["log.retention.ms"] == ("3000", 2)
        assert told(broker, TOPIC, "plain")["retention.ms"] == ("3000", 2)
        assert told(broker, TOPIC, "plain")["segment.bytes"] == ("4096", 4)
        assert told(broker, TOPIC, "own")["retention.ms"] == ("7", 1)
        for refused in ("num.partitions", "retention.ms", "no.such.setting"):
            assert alter(broker, "0", (refused, SET, "1")) == 42
        assert alter(broker, "0", ("log.retention.ms", SET, "soon")) == 40
    with Broker(settings) as broker:
        assert broker.logs.find("plain", 0).settings.retention_ms == 3000
        broker.logs.create_topic("new", 1)
        assert broker.logs.find("new", 0).settings.retention_ms == 3000
        assert alter(broker, "0", ("log.retention.ms", DELETE, None)) == 0
        assert broker.logs.find("new", 0).settings.retention_ms == 2000
        assert alter(broker, "", ("log.retention.ms", DELETE, None)) == 0
        assert broker.logs.find("new", 0).settings.retention_ms == 1000
        assert broker.logs.find("own", 0).settings.retention_ms == 7
