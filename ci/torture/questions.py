"""What a torture asks of the broker, over one connection, and what it is told."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from zerocopy_lab.client.consumer import fetch
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.errors import OffsetOutOfRange
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.batch import iterate_headers
from zerocopy_lab.records.record import Record, read_records

EARLIEST, LATEST = -2, -1
_CREATE_TOPICS_VERSION = 5
_DELETE_TOPICS_VERSION = 4
_LIST_OFFSETS_VERSION = 5
_CREATE_PARTITIONS_VERSION = 3
_ALTER_CONFIGS_VERSION = 1
_DESCRIBE_CONFIGS_VERSION = 4
_METADATA_VERSION = 12
_OFFSET_COMMIT_VERSION = 8
_OFFSET_FETCH_VERSION = 7
_TOPIC = 2  # a resource's type
_SET_FOR_THE_TOPIC = 1  # a config's source
_FETCH_BYTES = 4 << 20
_TIMEOUT = timedelta(seconds=30)


class Refused(Exception):
    """The broker has answered with an error."""

    def __init__(self, action: str, code: int) -> None:
        super().__init__(f"cannot {action}: error {code}")
        self.code = code


def _refuse(error_code: int, action: str) -> None:
    if error_code:
        raise Refused(action, int(error_code))


# Topics. All of these raise Refused.


class TopicState(NamedTuple):
    """What clients can know of a topic."""

    topic_id: uuid.UUID
    partitions: int
    settings: Mapping[str, str]  # its own, without defaults


def create_topic(wire: Wire, topic: str, settings: Mapping[str, str], partitions: int = 1) -> None:
    types = messages.types_of(ApiKey.create_topics, _CREATE_TOPICS_VERSION, "request")
    configs = tuple(types.CreatableTopicConfig(name=n, value=v) for n, v in settings.items())
    wanted = types.CreatableTopic(
        name=topic, num_partitions=partitions, replication_factor=1, assignments=(), configs=configs
    )
    answer = wire.ask(
        ApiKey.create_topics,
        _CREATE_TOPICS_VERSION,
        topics=(wanted,),
        timeout=_TIMEOUT,
        validate_only=False,
    )
    _refuse(answer.topics[0].error_code, f"create {topic}")


def delete_topic(wire: Wire, topic: str) -> None:
    answer = wire.ask(
        ApiKey.delete_topics, _DELETE_TOPICS_VERSION, topic_names=(topic,), timeout=_TIMEOUT
    )
    _refuse(answer.responses[0].error_code, f"delete {topic}")


def add_partitions(wire: Wire, topic: str, partitions: int) -> None:
    types = messages.types_of(ApiKey.create_partitions, _CREATE_PARTITIONS_VERSION, "request")
    wanted = types.CreatePartitionsTopic(name=topic, count=partitions, assignments=None)
    answer = wire.ask(
        ApiKey.create_partitions,
        _CREATE_PARTITIONS_VERSION,
        topics=(wanted,),
        timeout=_TIMEOUT,
        validate_only=False,
    )
    _refuse(answer.results[0].error_code, f"extend {topic}")


def set_topic(wire: Wire, topic: str, name: str, value: str | None) -> None:
    """One setting; None for the default again."""
    version = _ALTER_CONFIGS_VERSION
    types = messages.types_of(ApiKey.incremental_alter_configs, version, "request")
    config = types.AlterableConfig(name=name, config_operation=int(value is None), value=value)
    resource = types.AlterConfigsResource(
        resource_type=_TOPIC, resource_name=topic, configs=(config,)
    )
    answer = wire.ask(
        ApiKey.incremental_alter_configs, version, resources=(resource,), validate_only=False
    )
    _refuse(answer.responses[0].error_code, f"alter {topic}")


def topics(wire: Wire) -> dict[str, TopicState]:
    """All topics. Refused as well when a partition has no leader."""
    answer = wire.ask(
        ApiKey.metadata,
        _METADATA_VERSION,
        topics=None,
        allow_auto_topic_creation=False,
        include_topic_authorized_operations=False,
    )
    for topic in answer.topics:
        _refuse(topic.error_code, f"use {topic.name}")
        for partition in topic.partitions:
            _refuse(partition.error_code, f"use {topic.name}-{partition.partition_index}")
    settings = {topic.name: topic_settings(wire, topic.name) for topic in answer.topics}
    return {
        topic.name: TopicState(
            topic.topic_id,
            len(topic.partitions),
            {n: value for n, (value, is_own) in settings[topic.name].items() if is_own},
        )
        for topic in answer.topics
    }


def topic_settings(wire: Wire, topic: str) -> dict[str, tuple[str, bool]]:
    """Every setting of a topic, and whether it was set for this topic."""
    version = _DESCRIBE_CONFIGS_VERSION
    types = messages.types_of(ApiKey.describe_configs, version, "request")
    resource = types.DescribeConfigsResource(
        resource_type=_TOPIC, resource_name=topic, configuration_keys=None
    )
    answer = wire.ask(
        ApiKey.describe_configs,
        version,
        resources=(resource,),
        include_synonyms=False,
        include_documentation=False,
    )
    _refuse(answer.results[0].error_code, f"describe {topic}")
    return {
        config.name: (config.value, config.config_source == _SET_FOR_THE_TOPIC)
        for config in answer.results[0].configs
    }


# Committed offsets


def commit(wire: Wire, group: str, topic: str, offsets: Mapping[int, int]) -> None:
    """By partition, of somebody who is no member. Raises Refused."""
    types = messages.types_of(ApiKey.offset_commit, _OFFSET_COMMIT_VERSION, "request")
    partitions = tuple(
        types.OffsetCommitRequestPartition(
            partition_index=partition,
            committed_offset=offset,
            committed_leader_epoch=-1,
            committed_metadata="",
        )
        for partition, offset in offsets.items()
    )
    answer = wire.ask(
        ApiKey.offset_commit,
        _OFFSET_COMMIT_VERSION,
        group_id=group,
        generation_id_or_member_epoch=-1,
        member_id="",
        group_instance_id=None,
        topics=(types.OffsetCommitRequestTopic(name=topic, partitions=partitions),),
    )
    for partition in answer.topics[0].partitions:
        _refuse(partition.error_code, f"commit {topic}")


def committed(wire: Wire, group: str) -> dict[tuple[str, int], int]:
    """All that a group has committed, by topic and partition. Raises Refused."""
    answer = wire.ask(
        ApiKey.offset_fetch,
        _OFFSET_FETCH_VERSION,
        group_id=group,
        topics=None,
        require_stable=False,
    )
    _refuse(answer.error_code, f"ask what {group} has committed")
    found = {}
    for topic in answer.topics:
        for partition in topic.partitions:
            _refuse(partition.error_code, f"ask for {topic.name}")
            found[topic.name, partition.partition_index] = int(partition.committed_offset)
    return found


# Records


class Read(NamedTuple):
    """All records of a partition, its first offset and the one behind its last."""

    records: list[Record]
    log_start: int
    end: int


def read_all(wire: Wire, topic: str) -> Read:
    """A whole partition, through Fetch. Retention may delete its start meanwhile: then again."""
    while True:
        log_start, end = (_offset(wire, topic, time) for time in (EARLIEST, LATEST))
        records: list[Record] = []
        offset = log_start
        while offset < end:
            answer = fetch(wire, topic, 0, offset, max_bytes=_FETCH_BYTES)
            if answer.error_code == OffsetOutOfRange.code:
                break
            _refuse(answer.error_code, f"read {topic} from {offset}")
            got = list(read_records(memoryview(answer.records), may_be_cut=True))
            records += [record for record in got if record.offset >= offset]
            offset = _next_offset(answer.records, offset, topic)
        else:
            return Read(records, log_start, end)


def _next_offset(fetched: bytes, offset: int, topic: str) -> int:
    headers = [header for _, header in iterate_headers(memoryview(fetched), may_be_cut=True)]
    if not headers or headers[-1].last_offset < offset:
        raise RuntimeError(f"{topic} ends at {offset}, before its log end offset")
    return headers[-1].last_offset + 1


def _offset(wire: Wire, topic: str, timestamp: int) -> int:
    types = messages.types_of(ApiKey.list_offsets, _LIST_OFFSETS_VERSION, "request")
    wanted = types.ListOffsetsPartition(
        partition_index=0, current_leader_epoch=-1, timestamp=timestamp
    )
    answer = wire.ask(
        ApiKey.list_offsets,
        _LIST_OFFSETS_VERSION,
        replica_id=-1,
        isolation_level=0,
        topics=(types.ListOffsetsTopic(name=topic, partitions=(wanted,)),),
    )
    found = answer.topics[0].partitions[0]
    _refuse(found.error_code, f"ask {topic} for an offset")
    return int(found.offset)
