"""A Fetch response as pieces: bytes, file slice, bytes.

    version   4..12                                      size
    (frame)   length, correlation_id                     i32 i32; tagged fields from 12 on
              throttle_time_ms                           i32
     7+       error_code, session_id                     i16 i32
              [topic name                                string / compact string
                [partition_index, error_code             i32 i16
                 high_watermark, last_stable_offset      i64 i64
     5+          log_start_offset                        i64
                 aborted_transactions                    array, null here
     11+         preferred_read_replica                  i32
                 records                                 length, then the FILE SLICE
     12          tagged fields ]  tagged fields ]  tagged fields

The length of the records is written before them, but the records themselves never pass through
this program: the slice that stands in their place is sent by the kernel, straight from the page
cache. Up to version 11 the records come last, and a response for one partition is two pieces; the
tagged fields of version 12 cost a third one, for nothing but zeros.

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

_FLEXIBLE_FROM = 12
_NO_TAGS = b"\x00"

# Frame length, correlation id, (no tags,) throttle time, (error code, session id).
_HEAD_V4, _HEAD_V7, _HEAD_V12 = Struct(">iii"), Struct(">iiihi"), Struct(">iixihi")
# Index, error, high watermark, last stable offset, (log start offset,) aborted transactions,
# (preferred replica,) and the length of the records.
_PARTITION_V4, _PARTITION_V5 = Struct(">ihqqii"), Struct(">ihqqqii")
_PARTITION_V11, _PARTITION_V12 = Struct(">ihqqqiii"), Struct(">ihqqqxi")
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
    tags = _NO_TAGS if version >= _FLEXIBLE_FROM else b""
    pieces: list[Piece] = []
    records_bytes = made_bytes = 0
    made = _array_length(len(topics), version)
    for name, partitions in topics:
        made += _topic_head(name, len(partitions), version)
        for answer in partitions:
            made += _partition_head(answer, version)
            records = answer.records
            if records is not None:
                pieces += (made, records)
                made_bytes += len(made)
                records_bytes += records.length
                made = b""
            made += tags
        made += tags
    made += tags
    if made:
        pieces.append(made)
    made_bytes += len(made)
    head = _head(version, correlation_id, error_code, made_bytes + records_bytes)
    first = pieces[0]
    assert isinstance(first, bytes)
    pieces[0] = head + first
    return pieces


def _head(version: int, correlation_id: int, error_code: int, body_bytes: int) -> bytes:
    """Everything before the topics."""
    if version < 7:
        return _HEAD_V4.pack(_HEAD_V4.size - LENGTH.size + body_bytes, correlation_id, 0)
    layout = _HEAD_V12 if version >= _FLEXIBLE_FROM else _HEAD_V7
    length = layout.size - LENGTH.size + body_bytes
    return layout.pack(length, correlation_id, 0, error_code, 0)


def _partition_head(answer: FetchedPartition, version: int) -> bytes:
    """Everything of one partition's answer that stands before its records."""
    index, error_code, high_watermark, log_start_offset, records = answer
    length = 0 if records is None else records.length
    fixed = (index, error_code, high_watermark, high_watermark)
    if version >= _FLEXIBLE_FROM:
        return _PARTITION_V12.pack(*fixed, log_start_offset, _NONE) + _compact_length(length)
    if version == 11:
        return _PARTITION_V11.pack(*fixed, log_start_offset, _NULL, _NONE, length)
    if version >= 5:
        return _PARTITION_V5.pack(*fixed, log_start_offset, _NULL, length)
    return _PARTITION_V4.pack(*fixed, _NULL, length)


@lru_cache(maxsize=4096)
def _topic_head(topic: str, partition_count: int, version: int) -> bytes:
    """A topic's name and the number of its partitions: the same again and again."""
    raw = topic.encode()
    flexible = version >= _FLEXIBLE_FROM
    length = _compact_length(len(raw)) if flexible else len(raw).to_bytes(2, "big")
    return length + raw + _array_length(partition_count, version)


def _array_length(length: int, version: int) -> bytes:
    return _compact_length(length) if version >= _FLEXIBLE_FROM else LENGTH.pack(length)


@lru_cache(maxsize=4096)
def _compact_length(length: int) -> bytes:
    """A length in the flexible form: an unsigned varint of length + 1, because 0 means null."""
    value = length + 1
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
