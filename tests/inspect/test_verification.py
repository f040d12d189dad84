from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from crc32c import crc32c

from tests.log.small_log_dir import BATCH_POSITIONS, batch_at, patch, write_log_dir
from zerocopy_lab.inspect.verification import verify
from zerocopy_lab.records.batch import read_header
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import read_records, rebuild_batch

LOG_0, LOG_6 = f"flights-0/{0:020d}.log", f"flights-0/{6:020d}.log"
INDEX_0, TIMES_6 = f"flights-0/{0:020d}.index", f"flights-0/{6:020d}.timeindex"
SNAPSHOT, EPOCHS = f"flights-0/{12:020d}.snapshot", "flights-0/leader-epoch-checkpoint"
SECOND, THIRD = BATCH_POSITIONS[0][1:]


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    write_log_dir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("deep", [False, True])
def test_nothing_wrong(log_dir: Path, deep: bool) -> None:
    found = verify(log_dir, deep=deep)
    assert (found.partitions, found.segments, found.batches) == (1, 2, 6)
    assert found.records == (12 if deep else 0)
    assert found.faults == []


def test_one_partition_alone(log_dir: Path) -> None:
    found = verify(log_dir / "flights-0")
    assert (found.partitions, found.batches, found.faults) == (1, 6, [])


@pytest.mark.parametrize("codec", Codec)
def test_compressed_batches_are_opened(log_dir: Path, codec: Codec) -> None:
    log = b"".join(batch_at(offset, codec) for offset in (0, 2, 4))
    (log_dir / LOG_0).write_bytes(log)
    (log_dir / INDEX_0).unlink()  # the batches lie elsewhere now
    found = verify(log_dir, deep=True)
    assert (found.records, found.faults) == (12, [])


def test_files_on_their_way_are_left_out(log_dir: Path) -> None:
    for name in ("flights-0/00000000000000000003.log.deleted", "flights-0/x.log.swap", "notes.txt"):
        (log_dir / name).write_bytes(b"whatever")
    (log_dir / "old-1.6f0c-delete").mkdir()
    assert verify(log_dir).faults == []


FAULTS: list[tuple[str, int | None, bytes | None, int | None, str]] = [
    # file, where to patch it, with what (None: cut there), position of the fault, message
    (LOG_0, SECOND + 70, b"\xff", SECOND, "CRC-32C"),
    (LOG_0, SECOND + 16, b"\x03", SECOND, "magic 3"),
    (LOG_0, SECOND + 8, b"\xff", SECOND, "batchLength -"),
    (LOG_0, SECOND + 8, b"\x00\x01\x00\x00", SECOND, "a batch of 65548 bytes, of which only"),
    (LOG_0, THIRD + 30, None, THIRD, "30 bytes at position 0 are too few"),
    (LOG_0, THIRD + 62, None, THIRD, "of which only 62 are there"),
    (LOG_0, SECOND + 7, b"\x01", SECOND, "offset 1, but the one before it was 1"),
    (LOG_0, THIRD + 7, b"\x05", THIRD, "offset 5, so 4 to 4 are missing"),
    (LOG_0, SECOND + 15, b"\x01", SECOND, "leader epoch 1 at offset 2"),
    (LOG_6, 15, b"\x02", 0, "leader epoch 2 at offset 6, leader-epoch-checkpoint says 3"),
    (INDEX_0, 3, b"\x02", 0, "ends with offset 3, not 2"),
    (INDEX_0, 15, b"\x07", 8, "no batch begins at 7"),
    (INDEX_0, 11, b"\x01", 8, "does not follow"),
    (INDEX_0, 12, None, None, "the entry at position 8 is cut"),
    (TIMES_6, 11, b"\x02", 0, "no batch ends with offset 8"),
    (TIMES_6, 7, b"\x00", 0, "the batch that ends with offset 9 has 9000"),
    (TIMES_6, 13, None, None, "the entry at position 12 is cut"),
    (SNAPSHOT, 20, b"\xff", None, "the CRC at position 2"),
    (SNAPSHOT, 1, b"\x09", None, "version 9 at position 0"),
    (EPOCHS, 0, b"7", None, "line 1"),
    (EPOCHS, 4, b"9", None, "does not follow"),
    ("flights-0/partition.metadata", 21, b"?", None, "base64"),
    ("meta.properties", 0, b"x", None, "is missing or not a number"),
    (
        "recovery-point-offset-checkpoint",
        15,
        b"9",
        None,
        "flights-0 is to reach offset 19, its log",
    ),
    ("replication-offset-checkpoint", 14, b"x", None, "line 3"),
    ("cleaner-offset-checkpoint", 0, b"nonsense", None, "line 1"),
]


@pytest.mark.parametrize(("name", "at", "octets", "position", "message"), FAULTS)
def test_a_fault_is_found_in_its_place(
    log_dir: Path, name: str, at: int, octets: bytes | None, position: int | None, message: str
) -> None:
    path = log_dir / name
    if octets is None:
        path.write_bytes(path.read_bytes()[:at])
    else:
        patch(path, at, octets)
    faults = verify(log_dir).faults
    assert any(
        fault.path == path and fault.position == position and message in fault.message
        for fault in faults
    ), faults


def test_every_bit_of_a_stored_batch_is_watched_over(log_dir: Path) -> None:
    """The neighbours and the epochs watch over base offset and epoch, the CRC over the rest."""
    path = log_dir / LOG_0
    content = bytearray(path.read_bytes())
    for position in range(SECOND, THIRD):
        for bit in range(8):
            content[position] ^= 1 << bit
            path.write_bytes(content)
            faults = verify(log_dir).faults
            assert [fault for fault in faults if fault.path == path], (position - SECOND, bit)
            content[position] ^= 1 << bit


def test_a_missing_and_a_doubled_segment(log_dir: Path) -> None:
    segment = (log_dir / LOG_6).read_bytes()
    (log_dir / LOG_6).rename(log_dir / f"flights-0/{9:020d}.log")
    (fault, *_) = verify(log_dir).faults
    assert (fault.position, fault.message) == (0, "offset 9, so 6 to 8 are missing")
    (log_dir / f"flights-0/{9:020d}.log").unlink()
    (log_dir / LOG_6).write_bytes(segment)
    (log_dir / f"flights-0/{10:020d}.log").write_bytes(segment[: BATCH_POSITIONS[6][1]])
    messages = [fault.message for fault in verify(log_dir).faults]
    assert "offset 10, but the one before it was 11" in messages


def thin_out(batch: bytes) -> bytes:
    header = read_header(memoryview(batch))
    return rebuild_batch(header, list(read_records(memoryview(batch)))[:1], Codec.NONE)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (lambda: batch_at(0) + batch_at(4), "offset 4, so 2 to 3 are missing"),
        (lambda: batch_at(0) + thin_out(batch_at(2)) + batch_at(4), "1 records in a batch of 2"),
    ],
    ids=["batch", "record"],
)
def test_gaps_only_where_compaction_was(
    log_dir: Path, change: Callable[[], bytes], missing: str
) -> None:
    (log_dir / LOG_0).write_bytes(change())
    for suffix in (".index", ".timeindex"):
        (log_dir / LOG_0).with_suffix(suffix).unlink()
    (fault,) = verify(log_dir).faults
    assert missing in fault.message
    cleaned = log_dir / "cleaner-offset-checkpoint"
    cleaned.write_text("0\n1\nflights 0 6\n")
    assert verify(log_dir).faults == []
    assert verify(log_dir / "flights-0").faults == []
    cleaned.write_text("0\n1\nflights 0 2\n")
    assert len(verify(log_dir).faults) == 1


def recrc(batch: bytearray) -> bytes:
    struct.pack_into(">I", batch, 17, crc32c(batch[21:]))
    return bytes(batch)


@pytest.mark.parametrize(
    ("at", "octets", "message"),
    [
        (61, b"\x02", "says it ends"),
        (42, b"\x00", "maxTimestamp is 2816, its newest record's 3000"),
    ],
)
def test_only_a_deep_look_sees_what_was_never_right(
    log_dir: Path, at: int, octets: bytes, message: str
) -> None:
    batch = bytearray(batch_at(2))
    batch[at : at + 1] = octets
    patch(log_dir / LOG_0, SECOND, recrc(batch))
    (log_dir / LOG_0).with_suffix(".timeindex").unlink()
    assert verify(log_dir).faults == []
    (fault,) = verify(log_dir, deep=True).faults
    assert (fault.path, fault.position) == (log_dir / LOG_0, SECOND)
    assert message in fault.message


def test_counts_that_do_not_fit(log_dir: Path) -> None:
    batch = bytearray(batch_at(2))
    struct.pack_into(">i", batch, 57, 3)
    patch(log_dir / LOG_0, SECOND, recrc(batch))
    (fault,) = verify(log_dir).faults
    assert (fault.position, fault.message) == (SECOND, "3 records in a batch of 2 offsets")


def test_a_directory_that_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is neither a log"):
        verify(tmp_path)
    with pytest.raises(FileNotFoundError):
        verify(tmp_path / "nowhere")


def test_a_partition_that_cannot_be_read_costs_the_others_nothing(log_dir: Path) -> None:
    unreadable = log_dir / "aaa-0"
    unreadable.symlink_to(unreadable.name)  # a loop: nobody can open it, not even root
    checkpoint = log_dir / "recovery-point-offset-checkpoint"
    checkpoint.write_text("0\n1\naaa 0 7\n")
    patch(log_dir / LOG_0, SECOND + 100, b"\xff\xff\xff")
    found = verify(log_dir)
    assert (found.partitions, found.segments) == (2, 2)
    [first, *others] = found.faults
    assert first.path.is_relative_to(unreadable)
    assert "symbolic links" in first.message
    assert {fault.path.parent.name for fault in others} == {"flights-0"}


def test_nothing_is_changed(log_dir: Path) -> None:
    def state() -> list[tuple[str, bytes, int]]:
        return [
            (str(path), path.read_bytes(), path.stat().st_mtime_ns)
            for path in sorted(log_dir.rglob("*"))
            if path.is_file()
        ]

    before = state()
    verify(log_dir, deep=True)
    assert state() == before
