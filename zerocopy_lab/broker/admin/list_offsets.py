"""ListOffsets: where a partition begins, where it ends, and which record was the first at a time.

Two timestamps stand for questions: -1 the end (the next offset to be written), -2 the beginning;
version 7 adds -3, the record with the largest timestamp (KIP-734). Source: Kafka's
`ListOffsetsRequest`.
"""

from __future__ import annotations

from typing import Any

from zerocopy_lab.broker.serving import answers
from zerocopy_lab.errors import InvalidRequest, KafkaError
from zerocopy_lab.log import LogDirectories, PartitionLog
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Request
from zerocopy_lab.protocol.versions import ApiKey

LATEST, EARLIEST, MAX_TIMESTAMP = -1, -2, -3
_NO_TIMESTAMP = _NO_OFFSET = -1


class ListOffsetsHandler:
    """Answers ListOffsets."""

    def __init__(self, logs: LogDirectories) -> None:
        self._logs = logs

    @answers(ApiKey.list_offsets, 1, 7, "4: leader epochs; 7: the offset of the largest timestamp")
    def list_offsets(self, request: Any, context: Request) -> messages.Entity:
        """One offset and timestamp for every partition asked for."""
        types = messages.response_types(ApiKey.list_offsets, context.api_version)
        return messages.make(
            types.ListOffsetsResponse,
            topics=tuple(
                types.ListOffsetsTopicResponse(
                    name=topic.name,
                    partitions=tuple(self._answer(types, topic.name, p) for p in topic.partitions),
                )
                for topic in request.topics
            ),
        )

    def _answer(self, types: Any, topic: str, wanted: Any) -> Any:
        code, offset, timestamp_ms, epoch = 0, _NO_OFFSET, _NO_TIMESTAMP, -1
        try:
            log = self._logs.find(topic, wanted.partition_index)
            offset, timestamp_ms = look_up(log, wanted.timestamp)
            epoch = log.leader_epoch
        except KafkaError as error:
            code = error.code
        return messages.make(
            types.ListOffsetsPartitionResponse,
            partition_index=wanted.partition_index,
            error_code=messages.error_code(code),
            timestamp=timestamp_ms,
            offset=offset,
            leader_epoch=epoch,
        )


def look_up(log: PartitionLog, timestamp_ms: int) -> tuple[int, int]:
    """Offset and timestamp that answer `timestamp_ms`; -1 and -1 when no record is that young."""
    if timestamp_ms == LATEST:
        return log.high_watermark, _NO_TIMESTAMP
    if timestamp_ms == EARLIEST:
        return log.log_start_offset, _NO_TIMESTAMP
    if timestamp_ms == MAX_TIMESTAMP:
        return log.offset_of_max_timestamp() or (_NO_OFFSET, _NO_TIMESTAMP)
    if timestamp_ms < 0:
        raise InvalidRequest(f"timestamp {timestamp_ms} has no meaning to this broker")
    return log.offset_for_timestamp(timestamp_ms) or (_NO_OFFSET, _NO_TIMESTAMP)
