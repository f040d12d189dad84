from __future__ import annotations

import struct

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from tests.records.golden_hex import golden_bytes
from zerocopy_lab.errors import (
    CorruptMessage,
    InvalidRecord,
    KafkaError,
    UnsupportedCompressionType,
)
from zerocopy_lab.records.batch import (
    HEADER_BYTES,
    BatchHeader,
    assign_offsets,
    check_batch,
    check_stored_batch,
    iterate_headers,
    pack_header,
    read_header,
)
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import Record, build_batch, read_records
from zerocopy_lab.records.restamping import stamp_append_time

GOLDEN = golden_bytes("two_records.hex")


def patched(position: int, layout: str, value: int, *, recrc: bool = True) -> memoryview:
    batch = bytearray(GOLDEN)
    struct.pack_into(layout, batch, position, value)
    if recrc:
        struct.pack_into(">I", batch, 17, crc32c(batch[21:]))
    return memoryview(batch)


def test_header_of_the_golden_batch() -> None:
    header = read_header(memoryview(GOLDEN))
    assert header == BatchHeader(
        base_offset=0,
        batch_length_bytes=84,
        leader_epoch=-1,
        magic=2,
        crc=0x23917063,
        attributes=0,
        last_offset_delta=1,
        base_timestamp_ms=1357034450080,
        max_timestamp_ms=1357034465384,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        records_count=2,
    )
    assert header.total_bytes == len(GOLDEN)
    assert (header.last_offset, header.last_sequence, header.codec) == (1, -1, Codec.NONE)
    assert pack_header(header) == GOLDEN[:HEADER_BYTES]


FIELD_LAYOUTS = [">q", ">i", ">i", ">b", ">I", ">h", ">i", ">q", ">q", ">q", ">h", ">i", ">i"]


def test_every_field_lies_where_the_table_says() -> None:
    positions = [0, 8, 12, 16, 17, 21, 23, 27, 35, 43, 51, 53, 57]
    for index, (position, layout) in enumerate(zip(positions, FIELD_LAYOUTS, strict=True)):
        value = 2 if position == 16 else 0x57
        header = read_header(patched(position, layout, value, recrc=False))
        assert header[index] == value
        # and no other field moved
        before = read_header(memoryview(GOLDEN))
        assert header._replace(**{header._fields[index]: before[index]}) == before


@pytest.mark.parametrize(
    ("base_sequence", "last_offset_delta", "last_sequence"),
    [(-1, 5, -1), (0, 0, 0), (10, 5, 15), (2**31 - 1, 0, 2**31 - 1), (2**31 - 1, 1, 0)],
)
def test_sequence_numbers_start_again(
    base_sequence: int, last_offset_delta: int, last_sequence: int
) -> None:
    header = read_header(memoryview(GOLDEN))
    header = header._replace(base_sequence=base_sequence, last_offset_delta=last_offset_delta)
    assert header.last_sequence == last_sequence


def test_the_broker_gives_a_place_without_touching_the_crc() -> None:
    batch = bytearray(GOLDEN)
    assign_offsets(memoryview(batch), 12_345_678_901, 7)
    assert batch[8:12] + batch[16:] == GOLDEN[8:12] + GOLDEN[16:]
    header = check_stored_batch(memoryview(batch))
    assert (header.base_offset, header.leader_epoch) == (12_345_678_901, 7)
    assert [record.offset for record in read_records(memoryview(batch))] == [
        12_345_678_901,
        12_345_678_902,
    ]


def test_the_broker_stamps_its_clock() -> None:
    batch = bytearray(GOLDEN)
    stamp_append_time(memoryview(batch), 1_700_000_000_000)
    header = check_batch(memoryview(batch))
    assert header.is_log_append_time
    assert header.max_timestamp_ms == 1_700_000_000_000
    assert {record.timestamp_ms for record in read_records(memoryview(batch))} == {
        1_700_000_000_000
    }
    before = read_header(memoryview(GOLDEN))
    assert header._replace(crc=before.crc, attributes=0, max_timestamp_ms=1357034465384) == before


@pytest.mark.parametrize(
    ("position", "layout", "value", "error", "message"),
    [
        (8, ">i", -1, CorruptMessage, "batchLength -1"),
        (8, ">i", 48, CorruptMessage, "less than the 49 bytes"),
        (8, ">i", 83, InvalidRecord, "a batch of 95 bytes in 96"),
        (8, ">i", 2**31 - 1, InvalidRecord, "in 96 bytes"),
        (16, ">b", 0, InvalidRecord, "no batch of magic 2"),
        (16, ">b", 1, InvalidRecord, "no batch of magic 2"),
        (16, ">b", 3, CorruptMessage, "magic 3"),
        (16, ">b", -1, CorruptMessage, "magic -1"),
        (0, ">q", 5, InvalidRecord, "base offset 5"),
        (0, ">q", -1, InvalidRecord, "base offset -1"),
        (21, ">h", 3, InvalidRecord, "an LZ4 frame that begins with"),
        (21, ">h", 5, UnsupportedCompressionType, "codec 5"),
        (21, ">h", 0x20, InvalidRecord, "only a broker"),
        (23, ">i", 0, InvalidRecord, "2 records with lastOffsetDelta 0"),
        (23, ">i", -1, InvalidRecord, "lastOffsetDelta -1"),
        (57, ">i", 0, InvalidRecord, "a batch of 0 records"),
        (57, ">i", 2**31 - 1, InvalidRecord, "with lastOffsetDelta 1"),
        (43, ">q", 5, InvalidRecord, "producer 5 sent the sequence number -1"),
    ],
)
def test_refused(
    position: int, layout: str, value: int, error: type[KafkaError], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_batch(patched(position, layout, value))


@pytest.mark.parametrize("length", [0, 1, 11, 12, 16, 17, 60, 61, len(GOLDEN) - 1])
def test_cut(length: int) -> None:
    with pytest.raises(InvalidRecord):
        check_batch(memoryview(GOLDEN)[:length])
    with pytest.raises(CorruptMessage):
        check_stored_batch(memoryview(GOLDEN)[:length])


@pytest.mark.parametrize("codec", Codec)
def test_every_single_bit_flip_is_found(codec: Codec) -> None:
    """All but those in the two fields that are the broker's own: bytes 0-7 and 12-15.

    The CRC does not cover these on purpose. What lies around a batch in a log watches over them:
    offsets only grow, and the leader epochs are written down in a checkpoint.
    """
    records = [Record(i, 1_000 + i, b"key", b"value %d" % i, (("n", None),)) for i in range(5)]
    batch = bytearray(build_batch(records, codec=codec, producer_id=8, base_sequence=3))
    base_offset, brokers_own = range(8), {*range(8), *range(12, 16)}
    for position in range(len(batch)):
        for bit in range(8):
            batch[position] ^= 1 << bit
            if position in brokers_own:
                check_stored_batch(memoryview(batch))
            else:
                with pytest.raises(CorruptMessage):
                    check_stored_batch(memoryview(batch))
            if position in base_offset or position not in brokers_own:
                with pytest.raises((CorruptMessage, InvalidRecord)):
                    check_batch(memoryview(batch))
            batch[position] ^= 1 << bit
    check_batch(memoryview(batch))


def test_one_batch_after_the_other() -> None:
    view = memoryview(GOLDEN * 3)
    assert [position for position, _ in iterate_headers(view)] == [0, 96, 192]
    assert list(iterate_headers(memoryview(b""))) == []


@pytest.mark.parametrize("cut", [1, 60, 61, 95])
def test_a_cut_batch_at_the_end(cut: int) -> None:
    view = memoryview(GOLDEN + GOLDEN[:cut])
    assert [position for position, _ in iterate_headers(view, may_be_cut=True)] == [0]
    with pytest.raises(CorruptMessage, match="at position 96"):
        list(iterate_headers(view))


@given(st.binary(max_size=200), st.integers(0, len(GOLDEN)))
def test_bytes_from_strangers(noise: bytes, honest_start: int) -> None:
    view = memoryview(GOLDEN[:honest_start] + noise)
    for read in (read_header, check_batch, check_stored_batch):
        try:
            read(view)
        except KafkaError:
            continue
    try:
        assert all(0 <= position < len(view) for position, _ in iterate_headers(view))
    except KafkaError:
        return
