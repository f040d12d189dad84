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

The length of the records is written before them, but the records themselves never pass through this
program: the slice that stands in their place is sent by the kernel, straight from the page cache.

Left out: fetch sessions (session_id 0 tells the client to send full requests, KIP-227), aborted
transactions (there are no transactions), topic ids (version 13 on).

Source: Kafka's `FetchResponse.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import NamedTuple

from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.protocol.framing import LENGTH, Piece

_I16, _I32, _TWO_I32 = Struct(">h"), Struct(">i"), Struct(">ii")
_PARTITION_V4 = Struct(">ihqq")  # index, error, high watermark, last stable offset
_PARTITION_V5 = Struct(">ihqqq")  # ... and log start offset
_NO_ABORTED, _NO_ABORTED_COMPACT = b"\xff\xff\xff\xff", b"\x00"
_NO_PREFERRED_REPLICA = b"\xff\xff\xff\xff"
_NO_TAGS = b"\x00"
_FLEXIBLE_FROM = 12


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
    flexible = version >= _FLEXIBLE_FROM
    array_length: Callable[[int], bytes] = _compact_length if flexible else _I32.pack
    string = _compact_string if flexible else _string
    tags = _NO_TAGS if flexible else b""
    made = bytearray(_TWO_I32.pack(0, correlation_id) + tags + _I32.pack(0))
    if version >= 7:
        made += _I16.pack(error_code) + _I32.pack(0)
    made += array_length(len(topics))
    pieces: list[Piece] = []
    for topic in topics:
        made += string(topic.topic) + array_length(len(topic.partitions))
        for answer in topic.partitions:
            made += _partition_head(answer, version)
            if answer.records is not None:
                pieces += (bytes(made), answer.records)
                made.clear()
            made += tags
        made += tags
    made += tags
    if made:
        pieces.append(bytes(made))
    return _with_frame_length(pieces)


def _partition_head(answer: FetchedPartition, version: int) -> bytes:
    """Everything of one partition's answer that stands before its records."""
    index, error_code, high_watermark, log_start_offset, records = answer
    fixed = (
        _PARTITION_V5.pack(index, error_code, high_watermark, high_watermark, log_start_offset)
        if version >= 5
        else _PARTITION_V4.pack(index, error_code, high_watermark, high_watermark)
    )
    length = 0 if records is None else records.length
    if version >= _FLEXIBLE_FROM:
        return fixed + _NO_ABORTED_COMPACT + _NO_PREFERRED_REPLICA + _compact_length(length)
    replica = _NO_PREFERRED_REPLICA if version >= 11 else b""
    return fixed + _NO_ABORTED + replica + _I32.pack(length)


def _with_frame_length(pieces: list[Piece]) -> list[Piece]:
    """Put the frame's length in front, now that it is known."""
    first = pieces[0]
    assert isinstance(first, bytes)
    length = sum(p.length if isinstance(p, FileSlice) else len(p) for p in pieces) - LENGTH.size
    pieces[0] = LENGTH.pack(length) + first[LENGTH.size :]
    return pieces


def _string(text: str) -> bytes:
    raw = text.encode()
    return _I16.pack(len(raw)) + raw


def _compact_string(text: str) -> bytes:
    raw = text.encode()
    return _compact_length(len(raw)) + raw


def _compact_length(length: int) -> bytes:
    """A length in the flexible form: an unsigned varint of length + 1, because 0 means null
    (KIP-482).
    """
    value = length + 1
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
