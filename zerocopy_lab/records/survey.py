"""What is inside a batch, without making objects of it: the broker's look at what it is sent.

The walk is the one of `record`, field by field, and finds what a consumer would stumble over: a
record count that lies, a length that leads astray, bytes left behind the last record. Kafka walks
over every batch it is sent, in `LogValidator`; here that is a setting (`broker.produce` says what
it costs and which batches are looked at).
"""

from __future__ import annotations

from typing import NamedTuple

from zerocopy_lab.errors import InvalidRecord
from zerocopy_lab.records.batch import HEADER_BYTES, BatchHeader
from zerocopy_lab.records.compression import MOST_DECOMPRESSED_BYTES, decompress
from zerocopy_lab.records.varint import INT64_VARINT_BYTES, decode_varint


class Survey(NamedTuple):
    """The timestamp of every record, in order; the indexes of those without a key; and whether the
    offsets count 0, 1, 2 and so on.
    """

    timestamps_ms: list[int]
    keyless: list[int]
    is_numbered: bool


def survey(
    batch: memoryview, header: BatchHeader, max_bytes: int = MOST_DECOMPRESSED_BYTES
) -> Survey:
    """Walk over the records of a batch, which may unpack to `max_bytes`.

    Raises CorruptMessage (not of its codec; a number that never ends), InvalidRecord (not the
    records that its header announces), MessageTooLarge.
    """
    # Of bytes a single one is had in half the time that it takes of a view.
    plain = bytes(decompress(header.codec, batch[HEADER_BYTES:], max_bytes))
    timestamps_ms: list[int] = []
    keyless: list[int] = []
    is_numbered = True
    position = 0
    for index in range(header.records_count):
        length_bytes, at = decode_varint(plain, position)
        end = at + length_bytes
        if length_bytes < 1 or end > len(plain):
            raise InvalidRecord(
                f"record {index} of {length_bytes} bytes at position {position} of {len(plain)}"
            )
        delta_ms, at = decode_varint(plain, at + 1, INT64_VARINT_BYTES)
        timestamps_ms.append(header.base_timestamp_ms + delta_ms)
        offset_delta, at = decode_varint(plain, at)
        is_numbered = is_numbered and offset_delta == index
        key_bytes, at = decode_varint(plain, at)
        if key_bytes == -1:
            keyless.append(index)
        else:
            at = _behind(plain, at, key_bytes)
        value_bytes, at = decode_varint(plain, at)
        at = _behind(plain, at, value_bytes)
        headers_count, at = decode_varint(plain, at)
        if headers_count:
            at = _behind_headers(plain, at, headers_count)
        if at != end:
            raise InvalidRecord(f"record {index} says it ends at {end}, but its fields end at {at}")
        position = end
    if position != len(plain):
        raise InvalidRecord(
            f"{len(plain) - position} bytes are left behind the {header.records_count} records"
        )
    return Survey(timestamps_ms, keyless, is_numbered)


def _behind(plain: bytes, at: int, length_bytes: int) -> int:
    """The position behind a field of this length, which is -1 for null."""
    if 0 <= length_bytes <= len(plain) - at:
        return at + length_bytes
    if length_bytes != -1:
        raise InvalidRecord(f"a field of {length_bytes} bytes at position {at} of {len(plain)}")
    return at


def _behind_headers(plain: bytes, at: int, count: int) -> int:
    if count < 0:
        raise InvalidRecord(f"a record with {count} headers before position {at}")
    for _ in range(count):
        name_bytes, at = decode_varint(plain, at)
        if name_bytes < 0:
            raise InvalidRecord(f"a record header without a name before position {at}")
        at = _behind(plain, at, name_bytes)
        value_bytes, at = decode_varint(plain, at)
        at = _behind(plain, at, value_bytes)
    return at
