"""A Fetch response as pieces: bytes, file slice, bytes, file slice.

    version   4..11                                      size
    (frame)   length, correlation_id                     i32 i32
              throttle_time_ms                           i32
     7+       error_code, session_id                     i16 i32
              [topic name                                string
                [partition_index, error_code             i32 i16
                 high_watermark, last_stable_offset      i64 i64
     5+          log_start_offset                        i64
                 aborted_transactions                    array, null here
    11           preferred_read_replica                  i32
                 records                                 i32 length, then the FILE SLICE ]]

The length of the records is written before them, but the records themselves never pass through
this program: the slice that stands in their place is sent by the kernel, straight from the page
cache. The response for one partition is two pieces, and the file's bytes are its last.

That is why version 12 is not served: it has tagged fields (KIP-482) behind the records, three zeros
that need a system call and a packet of their own. With them a MiB took a seventh more time.

Left out: fetch sessions (session_id 0 tells the client to send full requests, KIP-227), aborted
transactions (there are no transactions), topic ids (version 13 on).

Source: Kafka's `FetchResponse.json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.protocol.framing import LENGTH, Piece

# Frame length, correlation id, throttle time, (error code, session id,) number of topics.
_HEAD_V4, _HEAD_V7 = Struct(">iiii"), Struct(">iiihii")
# Index, error, high watermark, last stable offset, (log start offset,) aborted transactions,
# (preferred replica,) and the length of the records.
_PARTITION_V4, _PARTITION_V5 = Struct(">ihqqii"), Struct(">ihqqqii")
_PARTITION_V11 = Struct(">ihqqqiii")
_NULL = _NONE = -1


class FetchedPartition(NamedTuple):
    """The answer for one partition. `records` is what the log found; None stands for no bytes."""

    partition: int
    error_code: int
    high_watermark: int
    log_start_offset: int
    records: FileSlice | None


class FetchedTopic(NamedTuple):
    """The answers for the partitions of one topic."""

    topic: str
    partitions: Sequence[FetchedPartition]


def fetch_response(
    correlation_id: int, version: int, topics: Sequence[FetchedTopic], error_code: int = 0
) -> list[Piece]:
    """The whole response, frame length included, as pieces in the order of the wire."""
    pieces: list[Piece] = []
    made = b""
    body_bytes = 0
    for name, partitions in topics:
        made += _topic_head(name, len(partitions))
        for answer in partitions:
            made += _partition_head(answer, version)
            records = answer.records
            if records is not None:
                pieces += (made, records)
                body_bytes += len(made) + records.length
                made = b""
    if made:
        pieces.append(made)
        body_bytes += len(made)
    head = _head(version, correlation_id, error_code, len(topics), body_bytes)
    first = pieces[0] if pieces else b""
    assert isinstance(first, bytes)
    pieces[:1] = (head + first,)
    return pieces


def _head(
    version: int, correlation_id: int, error_code: int, topic_count: int, body_bytes: int
) -> bytes:
    """Everything before the first topic; `body_bytes` is what comes after."""
    if version < 7:
        length = _HEAD_V4.size - LENGTH.size + body_bytes
        return _HEAD_V4.pack(length, correlation_id, 0, topic_count)
    length = _HEAD_V7.size - LENGTH.size + body_bytes
    return _HEAD_V7.pack(length, correlation_id, 0, error_code, 0, topic_count)


@lru_cache(maxsize=4096)
def _topic_head(topic: str, partition_count: int) -> bytes:
    """A topic's name and the number of its partitions: the same again and again."""
    raw = topic.encode()
    return len(raw).to_bytes(2, "big") + raw + LENGTH.pack(partition_count)


def _partition_head(answer: FetchedPartition, version: int) -> bytes:
    """Everything of one partition's answer that stands before its records."""
    index, error_code, high_watermark, log_start, records = answer
    length = 0 if records is None else records.length
    last_stable = high_watermark  # without transactions nothing is unstable
    if version == 11:
        return _PARTITION_V11.pack(
            index, error_code, high_watermark, last_stable, log_start, _NULL, _NONE, length
        )
    if version >= 5:
        return _PARTITION_V5.pack(
            index, error_code, high_watermark, last_stable, log_start, _NULL, length
        )
    return _PARTITION_V4.pack(index, error_code, high_watermark, last_stable, _NULL, length)
