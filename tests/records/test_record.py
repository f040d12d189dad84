from __future__ import annotations

import struct

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from tests.records.foreign_builders import BUILDER_IDS, BUILDERS, Builder, aiokafka_batch
from tests.records.golden_hex import golden_bytes
from zerocopy_lab.errors import CorruptMessage, InvalidRecord, KafkaError, MessageTooLarge
from zerocopy_lab.records.batch import HEADER_BYTES, check_batch, check_stored_batch, read_header
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import Record, build_batch, read_records, rebuild_batch

FLIGHTS = [
    Record(0, 1357034450080, b"JFK", b"1545"),
    Record(1, 1357034465384, None, b"EWR", (("dst", None), ("n", b"7"))),
]
MIXED = [
    Record(
        offset,
        1_000_000 + offset * (-1) ** offset,  # timestamps need not grow
        None if offset % 3 else b"key %d" % offset,
        None if offset % 5 == 4 else b"value " * offset,
        (("trace", b"\x00\xff"), ("größe", None), ("", b"")) if offset % 7 == 0 else (),
    )
    for offset in range(200)
]


def fields(base_offset: int = 0) -> st.SearchStrategy[list[Record]]:
    maybe_bytes = st.none() | st.binary(max_size=80)
    headers = st.lists(st.tuples(st.text(max_size=8), maybe_bytes), max_size=3).map(tuple)
    timestamps = st.integers(-1, 1 << 62)
    rows = st.lists(
        st.tuples(timestamps, maybe_bytes, maybe_bytes, headers), min_size=1, max_size=9
    )
    return rows.map(lambda found: [Record(base_offset + i, *row) for i, row in enumerate(found)])


def recrc(batch: bytearray) -> memoryview:
    struct.pack_into(">I", batch, 17, crc32c(batch[21:]))
    return memoryview(batch)


def test_golden_batch() -> None:
    golden = golden_bytes("two_records.hex")
    assert build_batch(FLIGHTS) == golden
    assert aiokafka_batch(FLIGHTS, Codec.NONE) == golden
    assert list(read_records(memoryview(golden))) == FLIGHTS


@pytest.mark.parametrize("codec", Codec)
@given(records=fields(base_offset=5_000_000_000))
def test_round_trip(codec: Codec, records: list[Record]) -> None:
    batch = memoryview(build_batch(records, codec=codec, base_offset=5_000_000_000))
    header = check_stored_batch(batch)
    assert list(read_records(batch)) == records
    assert header.codec is codec
    assert (header.base_offset, header.last_offset) == (records[0].offset, records[-1].offset)
    assert header.records_count == len(records)
    assert header.max_timestamp_ms == max(record.timestamp_ms for record in records)


@pytest.mark.parametrize(("_name", "builder", "codec"), BUILDERS, ids=BUILDER_IDS)
@pytest.mark.parametrize("producer_id", [-1, 4_000])
def test_batches_of_other_clients(
    _name: str, builder: Builder, codec: Codec, producer_id: int
) -> None:
    batch = memoryview(builder(MIXED, codec, producer_id))
    header = check_batch(batch)
    assert list(read_records(batch)) == MIXED
    assert header.codec is codec
    assert header.max_timestamp_ms == max(record.timestamp_ms for record in MIXED)
    assert header.producer_id == producer_id
    if producer_id >= 0:
        assert (header.producer_epoch, header.base_sequence, header.last_sequence) == (3, 70, 269)


@pytest.mark.parametrize("producer_id", [-1, 4_000])
def test_same_bytes_as_another_client(producer_id: int) -> None:
    ours = build_batch(
        MIXED,
        producer_id=producer_id,
        producer_epoch=-1 if producer_id < 0 else 3,
        base_sequence=-1 if producer_id < 0 else 70,
    )
    assert ours == aiokafka_batch(MIXED, Codec.NONE, producer_id)


def test_several_batches_and_a_cut_one() -> None:
    batches = build_batch(FLIGHTS) + build_batch(FLIGHTS, codec=Codec.ZSTD)
    assert list(read_records(memoryview(batches))) == FLIGHTS * 2
    first = len(build_batch(FLIGHTS))
    for length in range(first, len(batches)):
        cut = memoryview(batches)[:length]
        assert list(read_records(cut, may_be_cut=True)) == FLIGHTS
        if length > first:
            with pytest.raises(CorruptMessage):
                list(read_records(cut))


def test_control_records_are_flagged() -> None:
    marker = Record(0, 5, struct.pack(">hh", 0, 1), struct.pack(">hi", 0, 0))
    batch = memoryview(build_batch([marker], producer_id=7, is_transactional=True, is_control=True))
    header = check_stored_batch(batch)
    assert (header.is_control, header.is_transactional) == (True, True)
    assert [record.is_control for record in read_records(batch)] == [True]
    with pytest.raises(InvalidRecord, match="only a broker writes control batches"):
        check_batch(batch)


def test_compaction_keeps_offsets_and_the_range() -> None:
    original = memoryview(
        build_batch(MIXED, base_offset=0, producer_id=9, producer_epoch=1, base_sequence=50)
    )
    header = read_header(original)
    kept = [record for record in MIXED if record.offset % 50 == 7]
    rebuilt = memoryview(rebuild_batch(header, kept, Codec.LZ4))
    after = check_stored_batch(rebuilt)
    assert list(read_records(rebuilt)) == kept
    assert (after.base_offset, after.last_offset, after.records_count) == (0, 199, 4)
    assert (after.producer_id, after.base_sequence, after.last_sequence) == (9, 50, 249)
    assert after.max_timestamp_ms == max(record.timestamp_ms for record in kept)


@pytest.mark.parametrize("codec", Codec)
def test_compaction_that_keeps_nothing_leaves_a_header(codec: Codec) -> None:
    header = read_header(memoryview(build_batch(MIXED, producer_id=9, base_sequence=50)))
    rebuilt = memoryview(rebuild_batch(header, [], codec))
    after = check_stored_batch(rebuilt)
    assert len(rebuilt) == HEADER_BYTES
    assert list(read_records(rebuilt)) == []
    assert (after.last_offset, after.last_sequence) == (199, 249)


@pytest.mark.parametrize(
    "offsets", [[], [1, 1], [2, 1], [-1, 3]], ids=["none", "twice", "back", "before the base"]
)
def test_records_that_make_no_batch(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="batch"):
        build_batch([Record(offset, 0, None, None) for offset in offsets])


def test_the_broker_clock_counts_for_every_record() -> None:
    header = read_header(memoryview(build_batch(FLIGHTS)))._replace(
        attributes=0x08, max_timestamp_ms=77
    )
    batch = memoryview(rebuild_batch(header, FLIGHTS, Codec.NONE))
    assert [record.timestamp_ms for record in read_records(batch)] == [77, 77]


FIRST = HEADER_BYTES
DAMAGE = [
    (FIRST, 0x1E, "says it ends"),
    (FIRST, 0x01, "a record of -1 bytes"),
    (FIRST, 0x7E, "a record of 63 bytes"),
    (FIRST + 3, 0x04, "offset 2 after -1"),
    (FIRST + 3, 0x01, "offset -1 after -1"),
    (FIRST + 4, 0x03, "a field of -2 bytes"),
    (FIRST + 4, 0x7E, "a field of 63 bytes"),
    (FIRST + 13, 0x01, "a record with -1 headers"),
    (60, 1, "bytes are left behind the 1 records"),
    (60, 3, "the varint at position 35 runs past"),
    (57, 0xFF, "a batch of -16777214 records"),
    (26, 0, "offset 1 after 0, in a batch of offsets 0 to 0"),
]


@pytest.mark.parametrize(("position", "byte", "message"), DAMAGE)
def test_damage_that_the_crc_does_not_know(position: int, byte: int, message: str) -> None:
    batch = bytearray(golden_bytes("two_records.hex"))
    batch[position] = byte
    view = recrc(batch)
    check_stored_batch(view)
    with pytest.raises(InvalidRecord, match=message):
        list(read_records(view))


def test_a_header_without_a_name() -> None:
    batch = bytearray(build_batch([Record(0, 0, None, None, (("", b""),))]))
    batch[-2] = 0x01
    with pytest.raises(InvalidRecord, match="without a name"):
        list(read_records(recrc(batch)))


def test_a_batch_unpacks_to_no_more_than_allowed() -> None:
    batch = memoryview(build_batch([Record(0, 0, None, bytes(100_000))], codec=Codec.GZIP))
    with pytest.raises(MessageTooLarge):
        list(read_records(batch, max_bytes=100_000))


@given(
    st.sampled_from(list(Codec)),
    st.lists(st.tuples(st.integers(21, 4_000), st.integers(0, 255)), max_size=6),
    st.binary(max_size=20),
)
def test_bytes_from_strangers(codec: Codec, patches: list[tuple[int, int]], tail: bytes) -> None:
    """A stranger can compute a CRC as well as we can: behind it anything may be wrong."""
    batch = bytearray(build_batch(MIXED[:20], codec=codec)) + tail
    for position, byte in patches:
        batch[position % len(batch)] = byte
    struct.pack_into(">i", batch, 8, len(batch) - 12)
    batch[16] = 2
    view = recrc(batch)
    try:
        check_batch(view)
        for record in read_records(view, max_bytes=1 << 20):
            assert isinstance(record, Record)
    except KafkaError:
        return
