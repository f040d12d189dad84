"""The records of a batch: built, read, and built anew.

| field | format |
|---|---|
| length | varint, of all that follows |
| attributes | i8, unused |
| timestampDelta | varint of up to 64 bits, from the batch's baseTimestamp |
| offsetDelta | varint, from the batch's baseOffset |
| key | varint length (-1 = null), bytes |
| value | varint length (-1 = null), bytes |
| headers | varint count; each: name (varint length, UTF-8), value (like a record's) |

Everything is relative to the batch's header: that is why a broker may set the offset of a thousand
records by patching one field, and why a record has no meaning outside its batch. With a codec, all
of it is compressed as one piece.

Bytes go to and come from a client, a lab, compaction, or a lookup by timestamp; never the way from
produce to fetch. Source: Kafka's `DefaultRecord`. Left out: nothing that Kafka reads today.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from crc32c import crc32c

from zerocopy_lab.errors import InvalidRecord
from zerocopy_lab.records.batch import (
    CONTROL_FLAG,
    CRC_START,
    HEADER_BYTES,
    LENGTH_PREFIX_BYTES,
    MAGIC,
    NO_LEADER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    NO_TIMESTAMP,
    TRANSACTIONAL_FLAG,
    BatchHeader,
    iterate_headers,
    pack_header,
)
from zerocopy_lab.records.compression import (
    CODEC_MASK,
    MOST_DECOMPRESSED_BYTES,
    Codec,
    compress,
    decompress,
)
from zerocopy_lab.records.varint import INT64_VARINT_BYTES, decode_varint, encode_varint

Headers = tuple[tuple[str, bytes | None], ...]


class Record(NamedTuple):
    """One record. `timestamp_ms` counts from 1970; a key or a value may be null, which is not the
    same as empty.
    """

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    is_control: bool = False  # a transaction's marker: consumers step over it


def build_batch(
    records: Sequence[Record],
    *,
    codec: Codec = Codec.NONE,
    base_offset: int = 0,
    leader_epoch: int = NO_LEADER_EPOCH,
    producer_id: int = NO_PRODUCER_ID,
    producer_epoch: int = -1,
    base_sequence: int = NO_SEQUENCE,
    is_transactional: bool = False,
    is_control: bool = False,
) -> bytes:
    """A whole batch as a producer sends it: there the base offset is 0 and the records' offsets
    count from 0.

    Raises ValueError for no records, or for offsets that do not grow from `base_offset` on.
    """
    if not records:
        raise ValueError("a batch needs at least one record")
    flags = (TRANSACTIONAL_FLAG if is_transactional else 0) | (CONTROL_FLAG if is_control else 0)
    header = BatchHeader(
        base_offset=base_offset,
        batch_length_bytes=0,
        leader_epoch=leader_epoch,
        magic=MAGIC,
        crc=0,
        attributes=flags,
        last_offset_delta=records[-1].offset - base_offset,
        base_timestamp_ms=records[0].timestamp_ms,
        max_timestamp_ms=NO_TIMESTAMP,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=base_sequence,
        records_count=0,
    )
    return rebuild_batch(header, records, codec)


def rebuild_batch(header: BatchHeader, records: Sequence[Record], codec: Codec) -> bytes:
    """A batch with another one's place, producer and flags, but these records and this codec.

    Compaction keeps fewer records and their offsets; the batch goes on claiming its whole range of
    offsets, so that idempotent producers are still recognised. It may keep none: then only the
    header is left, as in Kafka.
    """
    body = b"".join(_encode_records(records, header))
    if not records:
        codec = Codec.NONE  # nothing was compressed, and a reader must not try to unpack it
    if not header.is_log_append_time:
        newest_ms = max((record.timestamp_ms for record in records), default=NO_TIMESTAMP)
        header = header._replace(max_timestamp_ms=newest_ms)
    packed = compress(codec, body)
    header = header._replace(
        batch_length_bytes=HEADER_BYTES - LENGTH_PREFIX_BYTES + len(packed),
        attributes=header.attributes & ~CODEC_MASK | codec,
        records_count=len(records),
    )
    covered_by_crc = pack_header(header)[CRC_START:] + packed
    header = header._replace(crc=crc32c(covered_by_crc))
    return pack_header(header)[:CRC_START] + covered_by_crc


def _encode_records(records: Iterable[Record], header: BatchHeader) -> Iterator[bytes]:
    previous_delta = -1
    for record in records:
        offset_delta = record.offset - header.base_offset
        if not previous_delta < offset_delta <= header.last_offset_delta:
            raise ValueError(
                f"offset {record.offset} in a batch of offsets {header.base_offset} to "
                f"{header.last_offset}: offsets have to grow, from the base offset on"
            )
        yield _encode_record(record, offset_delta, record.timestamp_ms - header.base_timestamp_ms)
        previous_delta = offset_delta


def _encode_record(record: Record, offset_delta: int, timestamp_delta_ms: int) -> bytes:
    parts = [
        b"\x00",
        encode_varint(timestamp_delta_ms),
        encode_varint(offset_delta),
        _encode_bytes(record.key),
        _encode_bytes(record.value),
        encode_varint(len(record.headers)),
    ]
    for name, value in record.headers:
        parts += (_encode_bytes(name.encode("utf-8", "surrogateescape")), _encode_bytes(value))
    body = b"".join(parts)
    return encode_varint(len(body)) + body


def _encode_bytes(value: bytes | None) -> bytes:
    return b"\x01" if value is None else encode_varint(len(value)) + value  # 01 is -1


def read_records(
    view: memoryview,
    *,
    may_be_cut: bool = False,
    in_order: bool = True,
    max_bytes: int = MOST_DECOMPRESSED_BYTES,
) -> Iterator[Record]:
    """Every record of every batch in the view, in order; unpacks at most `max_bytes` per batch. The
    CRC is not looked at.

    `may_be_cut`: leave out a batch that the view holds only the beginning of, as at the end of a
    fetch response. `in_order`: the offsets have to grow within the batch; Kafka stores others as
    well. Raises CorruptMessage, InvalidRecord, UnsupportedCompressionType or MessageTooLarge.
    """
    for position, header in iterate_headers(view, may_be_cut=may_be_cut):
        packed = view[position + HEADER_BYTES : position + header.total_bytes]
        yield from _records_of(header, decompress(header.codec, packed, max_bytes), in_order)


def _records_of(header: BatchHeader, plain: memoryview, in_order: bool) -> Iterator[Record]:
    if header.records_count < 0:
        raise InvalidRecord(f"a batch of {header.records_count} records")
    position, previous_offset = 0, header.base_offset - 1
    for _ in range(header.records_count):
        record, position = _read_record(plain, position, header)
        if in_order and not previous_offset < record.offset <= header.last_offset:
            raise InvalidRecord(
                f"offset {record.offset} after {previous_offset}, in a batch of offsets "
                f"{header.base_offset} to {header.last_offset}"
            )
        yield record
        previous_offset = record.offset
    if position != len(plain):
        raise InvalidRecord(
            f"{len(plain) - position} bytes are left behind the {header.records_count} records "
            "of a batch"
        )


def _read_record(plain: memoryview, position: int, header: BatchHeader) -> tuple[Record, int]:
    length_bytes, start = decode_varint(plain, position)
    end = start + length_bytes
    if length_bytes < 1 or end > len(plain):
        raise InvalidRecord(
            f"a record of {length_bytes} bytes at position {position} of {len(plain)} bytes"
        )
    timestamp_delta_ms, at = decode_varint(plain, start + 1, INT64_VARINT_BYTES)
    offset_delta, at = decode_varint(plain, at)
    key, at = _read_bytes(plain, at)
    value, at = _read_bytes(plain, at)
    headers, at = _read_headers(plain, at)
    if at != end:
        raise InvalidRecord(
            f"the record at position {position} says it ends at {end}, but its fields end at {at}"
        )
    timestamp_ms = header.base_timestamp_ms + timestamp_delta_ms
    if header.is_log_append_time:
        timestamp_ms = header.max_timestamp_ms
    offset = header.base_offset + offset_delta
    return Record(offset, timestamp_ms, key, value, headers, header.is_control), end


def _read_bytes(plain: memoryview, position: int) -> tuple[bytes | None, int]:
    length_bytes, start = decode_varint(plain, position)
    if length_bytes == -1:
        return None, start
    end = start + length_bytes
    if length_bytes < 0 or end > len(plain):
        raise InvalidRecord(
            f"a field of {length_bytes} bytes at position {position} of {len(plain)} bytes"
        )
    return bytes(plain[start:end]), end


def _read_headers(plain: memoryview, position: int) -> tuple[Headers, int]:
    count, at = decode_varint(plain, position)
    if count == 0:
        return (), at
    if count < 0:
        raise InvalidRecord(f"a record with {count} headers at position {position}")
    headers = []
    for _ in range(count):
        name, at = _read_bytes(plain, at)
        value, at = _read_bytes(plain, at)
        headers.append((_header_name(name), value))
    return tuple(headers), at


def _header_name(name: bytes | None) -> str:
    if name is None:
        raise InvalidRecord("a record header without a name")
    # Kafka does not look whether it is UTF-8; what is not goes out again as it came in.
    return name.decode("utf-8", "surrogateescape")
