"""OffsetCommit, OffsetFetch and OffsetDelete: what a group has read, as messages.

`OffsetFetch` answers for one group, and since version 8 for several at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from zerocopy_lab.broker.groups.offsets import CommittedOffsets, Where
from zerocopy_lab.broker.groups.records import CommittedOffset
from zerocopy_lab.broker.serving import ASIDE, answers
from zerocopy_lab.errors import KafkaError, UnknownTopicOrPartition
from zerocopy_lab.log import LogDirectories
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Request
from zerocopy_lab.protocol.versions import ApiKey

_FETCH_TAKES_MANY_GROUPS = 8

#: What Kafka answers for a partition that the group has committed nothing for.
_NOTHING = CommittedOffset(offset=-1, leader_epoch=-1, metadata="", commit_time_ms=-1)


class GroupOffsetHandlers:
    """The requests about committed offsets."""

    def __init__(self, offsets: CommittedOffsets, logs: LogDirectories) -> None:
        self._offsets = offsets
        self._logs = logs

    @answers(
        ApiKey.offset_commit, 2, 9, "5: no retention time; 6: leader epochs; 7: static members"
    )
    def offset_commit(self, request: Any, context: Request) -> messages.Entity:
        """Every partition has a result of its own; what has none of its own shares the group's
        error.
        """
        now_ms = time.time_ns() // 1_000_000
        wanted = {
            (topic.name, part.partition_index): CommittedOffset(
                part.committed_offset,
                getattr(part, "committed_leader_epoch", -1),
                part.committed_metadata or "",
                now_ms,
            )
            for topic in request.topics
            for part in topic.partitions
        }
        results: dict[Where, KafkaError | None] = self._unknown(wanted)
        known = {where: offset for where, offset in wanted.items() if where not in results}
        try:
            results |= self._offsets.commit(
                request.group_id,
                request.member_id,
                getattr(request, "group_instance_id", None),
                request.generation_id_or_member_epoch,
                known,
                context.api_version,
            )
        except KafkaError as refusal:
            results |= dict.fromkeys(known, refusal)
        types = messages.response_types(context.api_key, context.api_version)
        return messages.make(
            types.OffsetCommitResponse,
            topics=_per_partition(request, results, "OffsetCommitResponse", types),
        )

    def _unknown(self, wanted: Iterable[Where]) -> dict[Where, KafkaError | None]:
        return {
            where: UnknownTopicOrPartition(f"{where[0]}-{where[1]}")
            for where in wanted
            if self._logs.get(*where) is None
        }

    @answers(
        ApiKey.offset_fetch,
        1,
        9,
        "2: null asks for all; 5: leader epochs; 8: several groups; 9: members",
        large_bytes=ASIDE,
    )
    def offset_fetch(self, request: Any, context: Request) -> messages.Entity:
        """The committed offsets of the partitions asked for, or of all (topics = null)."""
        types = messages.response_types(context.api_key, context.api_version)
        no_error = messages.error_code(0)
        if context.api_version < _FETCH_TAKES_MANY_GROUPS:
            names = types.OffsetFetchResponseTopic, types.OffsetFetchResponsePartition
            topics = self._fetch(request.group_id, request.topics, *names)
            return messages.make(types.OffsetFetchResponse, topics=topics, error_code=no_error)
        once = dict.fromkeys(request.groups)
        groups = tuple(self._fetch_of_group(types, group) for group in once)
        return messages.make(types.OffsetFetchResponse, groups=groups)

    def _fetch_of_group(self, types: Any, group: Any) -> messages.Entity:
        code, topics = 0, ()
        who = getattr(group, "member_id", None), getattr(group, "member_epoch", -1)
        names = types.OffsetFetchResponseTopics, types.OffsetFetchResponsePartitions
        try:
            topics = self._fetch(group.group_id, group.topics, *names, *who)
        except KafkaError as refusal:
            code = refusal.code
        return messages.make(
            types.OffsetFetchResponseGroup,
            group_id=group.group_id,
            topics=topics,
            error_code=messages.error_code(code),
        )

    def _fetch(
        self,
        group_id: str,
        topics: Any,
        topic_type: type[Any],
        partition_type: type[Any],
        member_id: str | None = None,
        member_epoch: int = -1,
    ) -> tuple[messages.Entity, ...]:
        committed = self._offsets.committed(group_id, member_id, member_epoch)
        if topics is None:
            wanted: dict[str, list[int]] = {}
            for topic, partition in sorted(committed):
                wanted.setdefault(topic, []).append(partition)
        else:
            wanted = {topic.name: topic.partition_indexes for topic in topics}
        return tuple(
            messages.make(
                topic_type,
                name=topic,
                partitions=tuple(
                    _fetched(partition_type, partition, committed.get((topic, partition), _NOTHING))
                    for partition in partitions
                ),
            )
            for topic, partitions in wanted.items()
        )

    @answers(ApiKey.offset_delete, 0, 0, "the same in all of them", large_bytes=ASIDE)
    def offset_delete(self, request: Any, context: Request) -> messages.Entity:
        """Forget offsets of topics that the group does not read (any more)."""
        wanted = [
            (topic.name, part.partition_index)
            for topic in request.topics
            for part in topic.partitions
        ]
        results = self._unknown(wanted)
        known = [where for where in wanted if where not in results]
        results |= self._offsets.delete_offsets(request.group_id, known)
        types = messages.response_types(context.api_key, context.api_version)
        return messages.make(
            types.OffsetDeleteResponse,
            error_code=messages.error_code(0),
            topics=_per_partition(request, results, "OffsetDeleteResponse", types),
        )


def _fetched(
    partition_type: type[Any], partition: int, committed: CommittedOffset
) -> messages.Entity:
    return messages.make(
        partition_type,
        partition_index=partition,
        committed_offset=committed.offset,
        committed_leader_epoch=committed.leader_epoch,
        metadata=committed.metadata,
        error_code=messages.error_code(0),
    )


def _per_partition(
    request: Any, results: Mapping[Where, KafkaError | None], prefix: str, types: Any
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
            name=topic.name,
            partitions=tuple(
                partition(topic.name, part.partition_index) for part in topic.partitions
            ),
        )
        for topic in request.topics
    )
