"""DeleteRecords and OffsetForLeaderEpoch: where the logs of partitions begin, and where an epoch of
theirs ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zerocopy_lab.broker.serving import ASIDE, answers
from zerocopy_lab.errors import (
    FencedLeaderEpoch,
    InvalidTopic,
    KafkaError,
    PolicyViolation,
    UnknownLeaderEpoch,
)
from zerocopy_lab.log import PartitionLog
from zerocopy_lab.log.file_names import INTERNAL_TOPICS
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Request
from zerocopy_lab.protocol.versions import ApiKey

_UNKNOWN = -1


class LogEndsHandler:
    """Answers both requests. `on_delete` is told which partition has a new beginning."""

    def __init__(
        self,
        logs: LogDirectories,
        on_delete: Callable[[tuple[str, int]], None] = lambda partition: None,
    ) -> None:
        self._logs = logs
        self._on_delete = on_delete

    @answers(ApiKey.delete_records, 0, 2, "the same in all of them", large_bytes=ASIDE)
    def delete_records(self, request: Any, context: Request) -> messages.Entity:
        """Move log start offsets up; -1 asks for the high watermark. The files follow later."""
        types = messages.response_types(context.api_key, context.api_version)
        topics = tuple(
            messages.make(
                types.DeleteRecordsTopicResult,
                name=topic.name,
                partitions=tuple(
                    self._delete(types, topic.name, part.partition_index, part.offset)
                    for part in topic.partitions
                ),
            )
            for topic in request.topics
        )
        return messages.make(types.DeleteRecordsResponse, topics=topics)

    def _delete(self, types: Any, topic: str, partition: int, offset: int) -> Any:
        code, low_watermark = 0, _UNKNOWN
        try:
            if topic in INTERNAL_TOPICS:
                raise InvalidTopic(f"cannot delete records of internal topic {topic}")
            log = self._logs.find(topic, partition)
            if not log.settings.deletes:
                raise PolicyViolation(
                    f"{topic} is compacted: its records go when others replace them"
                )
            low_watermark = log.delete_records_before(offset)
            self._on_delete((topic, partition))
        except KafkaError as error:
            code = error.code
        return messages.make(
            types.DeleteRecordsPartitionResult,
            partition_index=partition,
            low_watermark=low_watermark,
            error_code=messages.error_code(code),
        )

    @answers(ApiKey.offset_for_leader_epoch, 2, 4, "3: the replica's id")
    def offset_for_leader_epoch(self, request: Any, context: Request) -> messages.Entity:
        """Where an epoch ended: a consumer finds out whether its records were cut off (KIP-320)."""
        types = messages.response_types(context.api_key, context.api_version)
        topics = tuple(
            messages.make(
                types.OffsetForLeaderTopicResult,
                topic=topic.topic,
                partitions=tuple(
                    self._epoch_end(types, topic.topic, part) for part in topic.partitions
                ),
            )
            for topic in request.topics
        )
        return messages.make(types.OffsetForLeaderEpochResponse, topics=topics)

    def _epoch_end(self, types: Any, topic: str, wanted: Any) -> Any:
        code, epoch_and_end = 0, (_UNKNOWN, _UNKNOWN)
        try:
            log = self._logs.find(topic, wanted.partition)
            check_leader_epoch(log, wanted.current_leader_epoch)
            known = log.offset_for_leader_epoch(wanted.leader_epoch)
            epoch_and_end = known or epoch_and_end
        except KafkaError as error:
            code = error.code
        return messages.make(
            types.EpochEndOffset,
            error_code=messages.error_code(code),
            partition=wanted.partition,
            leader_epoch=epoch_and_end[0],
            end_offset=epoch_and_end[1],
        )


def check_leader_epoch(log: PartitionLog, of_client: int) -> None:
    """Raise FencedLeaderEpoch or UnknownLeaderEpoch when a client believes in another epoch than we
    do.
    """
    if of_client == _UNKNOWN:
        return
    if of_client < log.leader_epoch:
        raise FencedLeaderEpoch(f"epoch {of_client} is over, {log.leader_epoch} is now")
    if of_client > log.leader_epoch:
        raise UnknownLeaderEpoch(f"epoch {of_client} is ahead of {log.leader_epoch}")
