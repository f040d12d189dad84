"""ListOffsets: where a partition begins, where it ends, and which record was the first at a time.

Negative timestamps stand for questions:

| timestamp | from version | asks for | KIP |
|---|---|---|---|
| -1 | 1 | the end: the next offset to be written | |
| -2 | 1 | the beginning | |
| -3 | 7 | the record with the largest timestamp | 734 |
| -4 | 8 | the beginning of what lies on this machine: here all of it | 405 |
| -5 | 9 | the last record in remote storage: here none | 1005 |
| -6 | 11 | the first record that is still to be uploaded there: here none | 1023 |

Source: Kafka's `ListOffsetsRequest`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from zerocopy_lab.broker.admin.log_ends import check_leader_epoch
from zerocopy_lab.broker.serving import ASIDE, answers
from zerocopy_lab.errors import InvalidRequest, KafkaError, UnsupportedVersion
from zerocopy_lab.log import PartitionLog
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Request
from zerocopy_lab.protocol.versions import ApiKey

#: The first version that has each of the questions.
_FROM_VERSION = {-1: 1, -2: 1, -3: 7, -4: 8, -5: 9, -6: 11}
_NOT_FOUND = (-1, -1)


class ListOffsetsHandler:
    """Answers ListOffsets."""

    def __init__(self, logs: LogDirectories) -> None:
        self._logs = logs

    @answers(
        ApiKey.list_offsets,
        1,
        11,
        "4: leader epochs; 7: -3; 8: -4; 9: -5; 10: a time limit, for remote storage; 11: -6",
        large_bytes=ASIDE,
    )
    def list_offsets(self, request: Any, context: Request) -> messages.Entity:
        """One offset and timestamp for every partition asked for."""
        version = context.api_version
        types = messages.response_types(ApiKey.list_offsets, version)
        asked = Counter(
            (topic.name, part.partition_index)
            for topic in request.topics
            for part in topic.partitions
        )
        return messages.make(
            types.ListOffsetsResponse,
            topics=tuple(
                types.ListOffsetsTopicResponse(
                    name=topic.name,
                    partitions=tuple(
                        self._answer(
                            types,
                            topic.name,
                            part,
                            version,
                            is_once=asked[topic.name, part.partition_index] == 1,
                        )
                        for part in topic.partitions
                    ),
                )
                for topic in request.topics
            ),
        )

    def _answer(self, types: Any, topic: str, wanted: Any, version: int, *, is_once: bool) -> Any:
        code, epoch, (offset, timestamp_ms) = 0, -1, _NOT_FOUND
        try:
            if not is_once:
                raise InvalidRequest(f"{topic}-{wanted.partition_index} more than once")
            if wanted.timestamp < 0 and version < _FROM_VERSION.get(wanted.timestamp, version + 1):
                raise UnsupportedVersion(f"timestamp {wanted.timestamp} in version {version}")
            log = self._logs.find(topic, wanted.partition_index)
            check_leader_epoch(log, getattr(wanted, "current_leader_epoch", -1))
            offset, timestamp_ms = look_up(log, wanted.timestamp)
            if offset >= 0:
                epoch = log.epoch_at(offset)
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
    match timestamp_ms:
        case -1:
            return log.high_watermark, -1
        case -2 | -4:
            return log.log_start_offset, -1
        case -3:
            return log.offset_of_max_timestamp() or _NOT_FOUND
        case -5 | -6:
            return _NOT_FOUND
        case _:
            return log.offset_for_timestamp(timestamp_ms) or _NOT_FOUND
