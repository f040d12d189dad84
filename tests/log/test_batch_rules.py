"""What gets into a log, what is put right on the way, what is refused and with which words."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import cramjam
import pytest
from crc32c import crc32c

from tests.log.making import NOW_MS, Clock, batch, log_in, open_logs, read_batches
from zerocopy_lab.errors import (
    InvalidRecord,
    InvalidTimestamp,
    KafkaError,
    MessageTooLarge,
    RecordListTooLarge,
    TransactionalIdAuthorizationFailed,
    UnknownServerError,
)
from zerocopy_lab.log import PartitionLog
from zerocopy_lab.log.batch_rules import Trust, admit
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.records.batch import CRC_START, HEADER_BYTES, BatchHeader, pack_header
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import Record, build_batch, read_records
from zerocopy_lab.records.varint import encode_varint

YEAR_MS = 365 * 86_400_000
HOUR_MS = 3_600_000
MAX_TIMESTAMP = 35
Patch = tuple[str, int, int]


def trust(validation: str) -> Trust:
    """The trust in a connection whose first request has come."""
    new = Trust()
    new.next_request(validation)
    return new


def patched(sent: bytes | memoryview, *patches: Patch) -> memoryview:
    """A batch with other numbers (format, position, value) in it, and the CRC that goes with it."""
    changed = bytearray(sent)
    for layout, position, value in patches:
        struct.pack_into(layout, changed, position, value)
    struct.pack_into(">I", changed, 17, crc32c(bytes(changed[CRC_START:])))
    return memoryview(changed)


def with_body(body: bytes, attributes: int = 0, count: int = 1) -> memoryview:
    """A batch whose header says `count` records, with any bytes behind it."""
    length_bytes = HEADER_BYTES - 12 + len(body)
    header = BatchHeader(
        0, length_bytes, -1, 2, 0, attributes, count - 1, NOW_MS, NOW_MS, -1, -1, -1, count
    )
    return patched(pack_header(header) + body)


def record(offset_delta: int, attributes: bytes = b"\0", headers: bytes = b"\0") -> bytes:
    """One record as it lies in a batch."""
    value = b"v%d" % offset_delta
    body = attributes + b"\0" + encode_varint(offset_delta) + b"\2k"
    body += encode_varint(len(value)) + value + headers
    return encode_varint(len(body)) + body


def times(*timestamps_ms: int, codec: Codec = Codec.NONE) -> bytes:
    """A batch of records with these timestamps."""
    return bytes(batch(*[b"v"] * len(timestamps_ms), timestamps_ms=timestamps_ms, codec=codec))


def open_log(directory: Path, **settings: str) -> PartitionLog:
    return log_in(open_logs(directory, clock=Clock(), **settings))


ONE, TWO, THREE = (times(*[NOW_MS] * count) for count in (1, 2, 3))


# The largest timestamp ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "said_ms", "newest"),
    [
        (times(NOW_MS), -1, (0, NOW_MS)),
        (times(NOW_MS, NOW_MS + 5, NOW_MS + 10), NOW_MS, (2, NOW_MS + 10)),
        (times(NOW_MS, NOW_MS + 5, codec=Codec.GZIP), -1, (1, NOW_MS + 5)),
        (times(NOW_MS - YEAR_MS, NOW_MS - 5), NOW_MS, (1, NOW_MS - 5)),
    ],
    ids=["missing", "too small", "missing, compressed", "too large"],
)
def test_a_wrong_largest_timestamp_is_put_right(
    tmp_path: Path, sent: bytes, said_ms: int, newest: tuple[int, int]
) -> None:
    log = open_log(tmp_path)
    seen = trust("sample")
    assert log.append(patched(sent, (">q", MAX_TIMESTAMP, said_ms)), seen).base_offset == 0
    assert log.offset_of_max_timestamp() == newest
    assert log.offset_for_timestamp(newest[1]) == newest
    assert log.offset_for_timestamp(newest[1] + 1) is None
    assert seen.caught, "from now on all its batches are opened"


def test_a_header_that_contradicts_itself_is_never_believed(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(patched(times(NOW_MS), (">q", MAX_TIMESTAMP, -1)), trust("never"))
    assert log.offset_for_timestamp(NOW_MS) == (0, NOW_MS)


def test_the_newest_record_is_found_although_a_header_promises_a_newer_one(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_bytes="200")
    for stamp in (5, 9, 7):
        promised = patched(times(NOW_MS - 100 + stamp, NOW_MS - 100), (">q", MAX_TIMESTAMP, NOW_MS))
        log.append(promised, trust("never"))
    assert log.offset_of_max_timestamp() == (2, NOW_MS - 91)


# How far it may be from the broker's clock --------------------------------------------------------


@pytest.mark.parametrize(
    ("age_ms", "settings", "is_refused"),
    [
        (-HOUR_MS, {}, False),
        (-HOUR_MS - 1, {}, True),
        (-10 * YEAR_MS, {}, True),
        (-10 * YEAR_MS, {"message_timestamp_after_max_ms": str(2**63 - 1)}, False),
        (-10 * YEAR_MS, {"message_timestamp_type": "LogAppendTime"}, False),
        (53 * YEAR_MS, {}, False),
        (1001, {"message_timestamp_before_max_ms": "1000"}, True),
        (1000, {"message_timestamp_before_max_ms": "1000"}, False),
    ],
)
def test_timestamps_far_from_the_brokers_clock(
    tmp_path: Path, age_ms: int, settings: dict[str, str], is_refused: bool
) -> None:
    log = open_log(tmp_path, **settings)
    sent = memoryview(bytearray(times(NOW_MS, NOW_MS - age_ms)))
    if is_refused:
        with pytest.raises(InvalidTimestamp, match="1 of 2 records") as refused:
            log.append(sent)
        assert [index for index, _ in refused.value.record_errors] == [1]
        assert log.log_end_offset == 0
    else:
        assert log.append(sent).last_offset == 1


def test_records_without_a_timestamp_are_from_no_time(tmp_path: Path) -> None:
    log = open_log(tmp_path, message_timestamp_before_max_ms="1000")
    log.append(memoryview(bytearray(times(-1, -1))))
    assert log.offset_of_max_timestamp() is None


# Refused ------------------------------------------------------------------------------------------

REFUSED: list[tuple[str, memoryview, type[KafkaError]]] = [
    ("transactional", patched(ONE, (">h", 21, 0x10)), TransactionalIdAuthorizationFailed),
    ("control", patched(ONE, (">h", 21, 0x20)), InvalidRecord),
    ("one record too few", patched(TWO, (">i", 23, 2), (">i", 57, 3)), InvalidRecord),
    ("one too many", patched(THREE, (">i", 23, 1), (">i", 57, 2)), InvalidRecord),
    ("no record", with_body(b"", count=0), InvalidRecord),
    ("garbage", with_body(b"\xde\xad\xbe\xef" * 8), UnknownServerError),
    ("garbage for gzip", with_body(b"\xde\xad\xbe\xef" * 8, attributes=1), UnknownServerError),
    ("bytes behind", with_body(record(0) + b"junk"), InvalidRecord),
    ("a key too long", with_body(b"\x0e\0\0\0\x7ev\0\0"), InvalidRecord),
    ("headers without end", with_body(record(0, headers=b"\x7e")), InvalidRecord),
    (
        "compressed, and not numbered",
        with_body(gzip.compress(record(0) + record(0)), attributes=1, count=2),
        UnknownServerError,
    ),
    ("two batches", memoryview(ONE + TWO), InvalidRecord),
]


@pytest.mark.parametrize(("_name", "sent", "error"), REFUSED, ids=[name for name, *_ in REFUSED])
@pytest.mark.parametrize("validation", ["sample", "always"])
def test_refused(
    tmp_path: Path, validation: str, _name: str, sent: memoryview, error: type[KafkaError]
) -> None:
    log = open_log(tmp_path)
    with pytest.raises(error) as refused:
        log.append(memoryview(bytearray(sent)), trust(validation))
    assert type(refused.value) is error
    assert log.log_end_offset == log.size_bytes == 0


@pytest.mark.parametrize("validation", ["sample", "never"])
@pytest.mark.parametrize("setting", ["", "compression_type=gzip", "cleanup_policy=compact"])
def test_lz4_blocks_that_need_each_other(tmp_path: Path, validation: str, setting: str) -> None:
    log = open_log(tmp_path, **dict([setting.split("=")] if setting else []))
    plain = b"".join(map(record, range(60)))
    for is_linked in (True, False):
        frame = cramjam.lz4.Compressor(content_checksum=False, block_linked=is_linked)
        frame.compress(plain)
        sent = with_body(bytes(frame.finish()), attributes=Codec.LZ4, count=60)
        if is_linked:
            with pytest.raises(InvalidRecord, match="independent blocks"):
                log.append(sent, trust(validation))
        else:
            assert log.append(sent, trust(validation)).last_offset == 59


# Stored, as the broker wants it -------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags", [0x08, 0x40, 0x48, 0x08 | Codec.GZIP], ids=["append time", "horizon", "both", "gzip"]
)
def test_the_brokers_flags_are_cleared(tmp_path: Path, flags: int) -> None:
    sent = times(NOW_MS - 5, NOW_MS, codec=Codec(flags & 7))
    log = open_log(tmp_path)
    log.append(patched(sent, (">h", 21, flags)), trust("never"))
    ((header, _),) = read_batches(log)
    assert header.attributes == flags & 7
    assert log.offset_for_timestamp(NOW_MS) == (1, NOW_MS)


@pytest.mark.parametrize("deltas", [(0, 0), (1, 0), (0, 7), (-1, 1)])
def test_offsets_in_disorder_are_numbered_anew(tmp_path: Path, deltas: tuple[int, int]) -> None:
    sent = with_body(b"".join(map(record, deltas)), count=2)
    log = open_log(tmp_path)
    log.append(memoryview(bytearray(sent)), trust("sample"))
    log.append(memoryview(bytearray(sent)), trust("never"))
    stored = [
        record
        for _, one in read_batches(log)
        for record in read_records(memoryview(one), in_order=False)
    ]
    assert [record.value for record in stored] == [b"v%d" % delta for delta in deltas] * 2
    assert [record.offset for record in stored] == [0, 1, *(2 + delta for delta in deltas)]
    assert log.offset_for_timestamp(NOW_MS) == (0, NOW_MS)


@pytest.mark.parametrize(
    "sent",
    [
        with_body(record(0, headers=b"\x02\x04\xff\xfe\x01")),
        with_body(record(0, attributes=b"\xff")),
        patched(ONE, (">h", 21, 0x80)),
        patched(ONE, (">i", 53, 0)),
        memoryview(times(-5)),
    ],
    ids=["name not UTF-8", "record attributes", "unused bit", "sequence alone", "before 1970"],
)
def test_what_kafka_takes_as_well(tmp_path: Path, sent: memoryview) -> None:
    log = open_log(tmp_path)
    log.append(memoryview(bytearray(sent)), trust("always"))
    ((_, stored),) = read_batches(log)
    assert stored[16:] == sent[16:]


# Sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "error"),
    [("max_message_bytes", MessageTooLarge), ("segment_bytes", RecordListTooLarge)],
)
def test_sizes_are_asked_again_once_a_batch_is_unpacked(
    tmp_path: Path, setting: str, error: type[KafkaError]
) -> None:
    packed = build_batch([Record(0, NOW_MS, b"k", bytes(500_000))], codec=Codec.GZIP)
    log = open_log(tmp_path, compression_type="uncompressed", **{setting: "100000"})
    with pytest.raises(error, match="500073 bytes"):
        log.append(memoryview(bytearray(packed)))
    assert log.size_bytes == 0


def test_what_unpacks_to_more_than_we_have_room_for(tmp_path: Path) -> None:
    bomb = build_batch([Record(0, NOW_MS, b"k", bytes(33 << 20))], codec=Codec.ZSTD)
    log = open_log(tmp_path)
    log.append(memoryview(bytearray(bomb)), trust("sample"))
    with pytest.raises(MessageTooLarge):
        log.append(memoryview(bytearray(bomb)), trust("always"))
    assert log.log_end_offset == 1


# Who is to blame, and who is looked at ------------------------------------------------------------


def test_the_records_to_blame_are_named(tmp_path: Path) -> None:
    log = open_log(tmp_path, cleanup_policy="compact")
    records = [Record(i, NOW_MS, None if i % 10 == 3 else b"k", b"v") for i in range(100)]
    with pytest.raises(InvalidRecord, match="10 of 100 records of a batch for flights") as refused:
        log.append(memoryview(bytearray(build_batch(records))))
    blamed = dict(refused.value.record_errors)
    assert list(blamed) == list(range(3, 100, 10))
    assert set(blamed.values()) == {"no key, and the topic is compacted"}


def test_a_connection_is_looked_at_now_and_then() -> None:
    seen = Trust()
    opened = [number for number in range(1, 300) if seen.next_request("sample")]
    assert opened == [1, 2, 4, 8, 16, 32, 64, 128, 192, 256]
    seen.caught = True
    assert all(seen.next_request("sample") for _ in range(100))
    assert not any(seen.next_request("never") for _ in range(100))
    assert all(Trust().next_request("always") for _ in range(100))


def test_who_was_caught_once_is_opened_always() -> None:
    seen = trust("sample")
    for _ in range(10):
        with pytest.raises(InvalidRecord):
            admit(
                patched(THREE, (">i", 23, 1), (">i", 57, 2)), TopicSettings(), "f-0", NOW_MS, seen
            )
        seen.next_request("sample")
