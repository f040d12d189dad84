"""OffsetCommit, OffsetFetch and OffsetDelete: what a group has read, as messages.

Topics are named by their names, and since version 10 by their ids: a commit for a topic that was
deleted cannot hit another one of the same name.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from zerocopy_lab.broker.groups.offsets import CommittedOffsets, Refused, Where
from zerocopy_lab.broker.groups.records import CommittedOffset
from zerocopy_lab.broker.serving import ASIDE, answers
from zerocopy_lab.errors import (
    InvalidRequest,
    KafkaError,
    UnknownTopicId,
    UnknownTopicOrPartition,
)
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Request
from zerocopy_lab.protocol.versions import ApiKey

_FETCH_TAKES_MANY_GROUPS = 8
_FETCH_NAMES_TOPICS_BY_ID = 10

#: What Kafka answers for a partition that the group has committed nothing for.
_NOTHING = CommittedOffset(offset=-1, leader_epoch=-1, metadata="", commit_time_ms=-1)

#: All that a group has can be asked for ten thousand times in one request, each time as another
#: member. Beyond so many partitions in one answer, the groups that are left hear InvalidRequest.
MOST_TOLD = 1 << 16

#: Instead of a name, for an id that no topic has.
_NO_NAME = ""


class GroupOffsetHandlers:
    """The requests about committed offsets."""

    def __init__(self, offsets: CommittedOffsets, logs: LogDirectories) -> None:
        self._offsets = offsets
        self._logs = logs

    def _name(self, topic: Any) -> str:
        if hasattr(topic, "name"):
            return str(topic.name)
        try:
            return self._logs.name_of(topic.topic_id)
        except UnknownTopicId:
            return _NO_NAME

    @answers(
        ApiKey.offset_commit,
        2,
        10,
        "5: no retention time; 6: leader epochs; 7: static members; 9: members' epochs; "
        "10: ids of topics",
    )
    def offset_commit(self, request: Any, context: Request) -> messages.Entity:
        """Every partition has a result of its own; what has none of its own shares the group's
        error.
        """
        now_ms = time.time_ns() // 1_000_000
        named = [(self._name(topic), topic) for topic in request.topics]
        wanted = {
            (name, part.partition_index): CommittedOffset(
                part.committed_offset,
                getattr(part, "committed_leader_epoch", -1),
                part.committed_metadata or "",
                now_ms,
            )
            for name, topic in named
            for part in topic.partitions
        }
        try:
            results = self._offsets.commit(
                request.group_id,
                request.member_id,
                getattr(request, "group_instance_id", None),
                request.generation_id_or_member_epoch,
                wanted,
                context.api_version,
                self._unknown,
            )
        except KafkaError as refusal:
            results = dict.fromkeys(wanted, refusal)
            results |= self._unknown(wanted)
        types = messages.response_types(context.api_key, context.api_version)
        return messages.make(
            types.OffsetCommitResponse,
            topics=_per_partition(named, results, "OffsetCommitResponse", types),
        )

    def _unknown(self, wanted: Iterable[Where]) -> Refused:
        return {
            where: UnknownTopicOrPartition(f"{where[0]}-{where[1]}")
            if where[0] != _NO_NAME
            else UnknownTopicId("no topic has this id")
            for where in wanted
            if self._logs.get(*where) is None
        }

    @answers(
        ApiKey.offset_fetch,
        1,
        10,
        "2: null asks for all; 5: leader epochs; 8: several groups; 9: members (KIP-848); "
        "10: ids of topics",
        large_bytes=ASIDE,
    )
    def offset_fetch(self, request: Any, context: Request) -> messages.Entity:
        """The committed offsets of the partitions asked for, or of all (topics = null)."""
        types = messages.response_types(context.api_key, context.api_version)
        if context.api_version < _FETCH_TAKES_MANY_GROUPS:
            of_topic = types.OffsetFetchResponseTopic, types.OffsetFetchResponsePartition
            topics = self._fetch(request, *of_topic)
            no_error = messages.error_code(0)
            return messages.make(types.OffsetFetchResponse, topics=topics, error_code=no_error)
        groups, partitions = [], 0
        for group in dict.fromkeys(request.groups):
            told = self._fetch_group(types, group, partitions >= MOST_TOLD)
            partitions += sum(len(topic.partitions) for topic in told.topics)
            groups.append(told)
        return messages.make(types.OffsetFetchResponse, groups=tuple(groups))

    def _fetch_group(self, types: Any, group: Any, is_too_much: bool) -> messages.Entity:
        of_topic = types.OffsetFetchResponseTopics, types.OffsetFetchResponsePartitions
        code, topics = 0, ()
        try:
            if is_too_much:
                raise InvalidRequest(f"more than {MOST_TOLD} partitions in one answer")
            topics = self._fetch(group, *of_topic)
        except KafkaError as refusal:
            code = refusal.code
        return messages.make(
            types.OffsetFetchResponseGroup,
            group_id=group.group_id,
            topics=topics,
            error_code=messages.error_code(code),
        )

    def _fetch(
        self, asked: Any, topic_type: type[Any], partition_type: type[Any]
    ) -> tuple[messages.Entity, ...]:
        """What one group, `asked` for, has committed. Raises UnknownMemberId, StaleMemberEpoch."""
        who = getattr(asked, "member_id", None), getattr(asked, "member_epoch", -1)
        committed = self._offsets.committed(asked.group_id, *who)
        known = self._logs.topics()
        by_id = topic_type.__version__ >= _FETCH_NAMES_TOPICS_BY_ID
        # Each once, for what was committed may be a thousand times as long as the question.
        wanted: dict[tuple[str, Any], dict[int, None]] = {}
        if asked.topics is not None:
            for topic in asked.topics:
                called = self._name(topic), getattr(topic, "topic_id", None)
                wanted.setdefault(called, {}).update(dict.fromkeys(topic.partition_indexes))
        else:
            for name, partition in sorted(committed):
                if name in known or not by_id:  # else nobody could say which topic that was
                    called = name, known[name].topic_id if name in known else None
                    wanted.setdefault(called, {})[partition] = None
        return tuple(
            messages.make(
                topic_type,
                name=name,
                topic_id=topic_id,
                partitions=tuple(
                    _fetched(
                        partition_type,
                        partition,
                        committed.get((name, partition), _NOTHING),
                        UnknownTopicId.code if name == _NO_NAME else 0,
                    )
                    for partition in indexes
                ),
            )
            for (name, topic_id), indexes in wanted.items()
        )

    @answers(ApiKey.offset_delete, 0, 0, "the same in all of them", large_bytes=ASIDE)
    def offset_delete(self, request: Any, context: Request) -> messages.Entity:
        """Forget offsets of topics that the group does not read (any more)."""
        named = [(topic.name, topic) for topic in request.topics]
        wanted = [
            (name, part.partition_index) for name, topic in named for part in topic.partitions
        ]
        results = self._unknown(wanted)
        known = [where for where in wanted if where not in results]
        results |= self._offsets.delete_offsets(request.group_id, known)
        types = messages.response_types(context.api_key, context.api_version)
        return messages.make(
            types.OffsetDeleteResponse,
            error_code=messages.error_code(0),
            topics=_per_partition(named, results, "OffsetDeleteResponse", types),
        )


def _fetched(
    partition_type: type[Any], partition: int, committed: CommittedOffset, code: int
) -> messages.Entity:
    return messages.make(
        partition_type,
        partition_index=partition,
        committed_offset=committed.offset,
        committed_leader_epoch=committed.leader_epoch,
        metadata=committed.metadata,
        error_code=messages.error_code(code),
    )


def _per_partition(
    named: Iterable[tuple[str, Any]],
    results: Refused,
    prefix: str,
    types: Any,
) -> tuple[messages.Entity, ...]:
    """The topics of a response that has nothing but an error code for every partition."""
    topic_type, partition_type = (
        getattr(types, f"{prefix}Topic"),
        getattr(types, f"{prefix}Partition"),
    )

    def partition(topic: str, index: int) -> messages.Entity:
        error = results[topic, index]
        code = messages.error_code(error.code if error else 0)
        return messages.make(partition_type, partition_index=index, error_code=code)

    return tuple(
        messages.make(
            topic_type,
            name=name,
            topic_id=getattr(topic, "topic_id", None),
            partitions=tuple(partition(name, part.partition_index) for part in topic.partitions),
        )
        for name, topic in named
    )
