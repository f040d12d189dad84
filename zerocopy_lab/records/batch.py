"""The 61 bytes in front of every batch (format "v2", magic 2, Kafka >= 0.11), read and patched
where they lie. Big-endian.

| at | field | who sets it | | at | field | who sets it |
|---|---|---|---|---|---|---|
| 0 | baseOffset i64 | **broker** | | 27 | baseTimestamp i64 | producer |
| 8 | batchLength i32 = total - 12 | producer | | 35 | maxTimestamp i64 | producer |
| 12 | partitionLeaderEpoch i32 | **broker** | | 43 | producerId i64 | producer |
| 16 | magic i8 = 2 | producer | | 51 | producerEpoch i16 | producer |
| 17 | crc u32, over bytes 21.. | producer | | 53 | baseSequence i32 | producer |
| 21 | attributes i16 | producer | | 57 | recordsCount i32 | producer |
| 23 | lastOffsetDelta i32 | producer | | 61 | records | producer |

Attributes: bits 0-2 codec, 3 timestamp type (1 = the broker's clock, LogAppendTime), 4
transactional, 5 control, 6 base timestamp is a delete horizon.

Two fields are the broker's, and the CRC begins behind both: so a broker can give a batch its place
in the log without touching, or even reading, anything else. That is what lets the bytes a producer
sent be the bytes a consumer gets.

What watches over the bytes that the CRC does not cover:
| bytes | field | a wrong value is found by |
|---|---|---|
| 0-7 | baseOffset | the batches around it: in a log offsets only grow (`verify`, the index) |
| 8-11 | batchLength | the CRC, then taken over other bytes; or the end of the file comes first |
| 12-15 | partitionLeaderEpoch | `leader-epoch-checkpoint`: from where each epoch wrote (`verify`) |
| 16 | magic | there is only one legal value |

Bytes come from a socket (produce) or a file (recovery, tools) as a `memoryview`; nothing here
copies them. Source: Kafka's `DefaultRecordBatch`, KIP-98. Left out: the message formats v0 and v1,
which Kafka 4 no longer stores either.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from crc32c import crc32c

from zerocopy_lab.errors import CorruptMessage, InvalidRecord
from zerocopy_lab.records.compression import CODEC_MASK, Codec, check_frame_start, codec_of

MAGIC = 2
HEADER_BYTES = 61
LENGTH_PREFIX_BYTES = 12  # baseOffset and batchLength: what batchLength does not count
CRC_START = 21
NO_PRODUCER_ID = -1
NO_SEQUENCE = -1
NO_LEADER_EPOCH = -1
NO_TIMESTAMP = -1

LOG_APPEND_TIME_FLAG = 0x08
TRANSACTIONAL_FLAG = 0x10
CONTROL_FLAG = 0x20
DELETE_HORIZON_FLAG = 0x40

_HEADER = struct.Struct(">qiibIhiqqqhii")
_MAX_SEQUENCE = (1 << 31) - 1
assert _HEADER.size == HEADER_BYTES


class BatchHeader(NamedTuple):
    """The 13 fields, in the order of the bytes."""

    base_offset: int
    batch_length_bytes: int  # counts from byte 12 on; `total_bytes` is what to step by
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp_ms: int
    max_timestamp_ms: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records_count: int

    @property
    def total_bytes(self) -> int:
        """From the first byte of this batch to the first of the next one."""
        return self.batch_length_bytes + LENGTH_PREFIX_BYTES

    @property
    def last_offset(self) -> int:
        """The offset of the last record that was ever in it: compaction may have taken that record
        away since.
        """
        return self.base_offset + self.last_offset_delta

    @property
    def codec(self) -> Codec:
        """Raises UnsupportedCompressionType for an id that does not exist."""
        return codec_of(self.attributes)

    @property
    def is_log_append_time(self) -> bool:
        """Whether maxTimestamp is the broker's clock, and the timestamp of every record in it."""
        return bool(self.attributes & LOG_APPEND_TIME_FLAG)

    @property
    def is_transactional(self) -> bool:
        """Whether a later control batch decides if consumers may read it."""
        return bool(self.attributes & TRANSACTIONAL_FLAG)

    @property
    def is_control(self) -> bool:
        """Whether it holds a transaction's commit or abort marker instead of a user's records."""
        return bool(self.attributes & CONTROL_FLAG)

    @property
    def last_sequence(self) -> int:
        """The sequence number of its last record; they count to 2^31 - 1 and start at 0 again."""
        if self.base_sequence == NO_SEQUENCE:
            return NO_SEQUENCE
        return (self.base_sequence + self.last_offset_delta) & _MAX_SEQUENCE


def read_header(view: memoryview, at: int = 0) -> BatchHeader:
    """The header of the batch that begins at byte `at`. The records behind it may be missing.

    Raises CorruptMessage when fewer than 61 bytes are there, or when length or magic cannot be
    those of a batch.
    """
    if len(view) - at < HEADER_BYTES:
        raise CorruptMessage(
            f"{max(len(view) - at, 0)} bytes at position {at} are too few for a batch header "
            f"of {HEADER_BYTES}"
        )
    header = BatchHeader._make(_HEADER.unpack_from(view, at))
    if header.batch_length_bytes < HEADER_BYTES - LENGTH_PREFIX_BYTES:
        raise CorruptMessage(
            f"batchLength {header.batch_length_bytes} at position {at} is less than the "
            f"{HEADER_BYTES - LENGTH_PREFIX_BYTES} bytes of the header alone"
        )
    if header.magic != MAGIC:
        raise CorruptMessage(f"magic {header.magic} at position {at}; a batch has magic {MAGIC}")
    return header


def pack_header(header: BatchHeader) -> bytes:
    """The 61 bytes of a header, as they lie in front of the records."""
    return _HEADER.pack(*header)


def check_stored_batch(view: memoryview) -> BatchHeader:
    """Whether a batch is as it was written: length, magic, CRC. The view holds exactly this batch.
    Raises CorruptMessage.
    """
    header = read_header(view)
    if header.total_bytes != len(view):
        raise CorruptMessage(f"a batch of {header.total_bytes} bytes in {len(view)} bytes")
    _check_crc(view, header)
    return header


def _check_crc(view: memoryview, header: BatchHeader) -> None:
    computed_crc = crc32c(view[CRC_START:])
    if computed_crc != header.crc:
        raise CorruptMessage(
            f"CRC-32C of a batch of {header.total_bytes} bytes is {computed_crc:#010x}, "
            f"its header says {header.crc:#010x}"
        )


def check_batch(view: memoryview) -> BatchHeader:
    """Whether a broker may append what a producer sent, as far as that shows while its records stay
    shut. The view holds all that was sent for one partition.

    Raises CorruptMessage (damaged: it may be sent again), UnsupportedCompressionType, InvalidRecord
    (not something a producer may write). Rules and answers are those of Kafka's `LogValidator`,
    `UnifiedLog.analyzeAndValidateRecords` and `ProduceRequest.validateRecords`.
    """
    if len(view) < HEADER_BYTES or view[16] < MAGIC:
        raise InvalidRecord(
            f"{len(view)} bytes that begin with no batch of magic {MAGIC}, the format since 0.11"
        )
    header = read_header(view)
    if header.total_bytes != len(view):
        raise InvalidRecord(
            f"a batch of {header.total_bytes} bytes in {len(view)} bytes; a partition is sent "
            "exactly one"
        )
    if header.base_offset != 0:
        raise InvalidRecord(f"base offset {header.base_offset}; a producer counts from 0")
    _check_crc(view, header)
    if header.records_count < 1 or header.records_count != header.last_offset_delta + 1:
        raise InvalidRecord(
            f"a batch of {header.records_count} records with lastOffsetDelta "
            f"{header.last_offset_delta}"
        )
    if header.attributes & CONTROL_FLAG:
        raise InvalidRecord("only a broker writes control batches")
    if header.producer_id != NO_PRODUCER_ID and header.base_sequence < 0:
        raise InvalidRecord(
            f"producer {header.producer_id} sent the sequence number {header.base_sequence}"
        )
    codec = header.attributes & CODEC_MASK
    if codec >= Codec.LZ4:
        check_frame_start(codec, view[HEADER_BYTES : HEADER_BYTES + 5])
    return header


def iterate_headers(
    view: memoryview, *, may_be_cut: bool = False
) -> Iterator[tuple[int, BatchHeader]]:
    """Position in bytes and header of one batch after the other.

    A fetch response may end in the middle of a batch: with `may_be_cut` the part is left out,
    otherwise it is CorruptMessage.
    """
    position = 0
    while position < len(view):
        if may_be_cut and len(view) - position < HEADER_BYTES:
            return
        header = read_header(view, position)
        if header.total_bytes > len(view) - position:
            if may_be_cut:
                return
            raise CorruptMessage(
                f"a batch of {header.total_bytes} bytes at position {position} of {len(view)} bytes"
            )
        yield position, header
        position += header.total_bytes


def assign_offsets(view: memoryview, base_offset: int, leader_epoch: int) -> None:
    """Gives a batch its place in the log: bytes 0-7 and 12-15 of a writable view. The CRC does not
    cover them.
    """
    struct.pack_into(">q", view, 0, base_offset)
    struct.pack_into(">i", view, 12, leader_epoch)
