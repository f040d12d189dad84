"""What a crash leaves, and what of it comes back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.log.making import (
    NOW_MS,
    TOPIC,
    Clock,
    batch,
    kill,
    log_in,
    open_logs,
    read_all,
    read_batches,
)
from zerocopy_lab.errors import KafkaStorageError
from zerocopy_lab.inspect.segment_info import index_entries_of, segments_of, time_index_entries_of
from zerocopy_lab.inspect.verification import verify
from zerocopy_lab.log.file_names import SEGMENT_SUFFIXES, segment_file
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.records.compression import Codec

PARTITION = f"{TOPIC}-0"


def values_in(logs: LogDirectories) -> list[bytes | None]:
    return [record.value for record in read_all(logs.find(TOPIC, 0))]


def log_file(directory: Path, base_offset: int) -> Path:
    return directory / PARTITION / segment_file(base_offset, ".log")


def killed_with(directory: Path, *batches: memoryview, **overrides: Any) -> list[int]:
    """Makes a directory whose broker was killed; where the last segment's batches lie."""
    logs = open_logs(directory, **overrides)
    log = log_in(logs)
    for one in batches:
        log.append(one)
    last = segments_of(log)[-1].base_offset
    sizes = [len(fetched) for _, fetched in read_batches(log, last)]
    kill(logs)
    return [sum(sizes[:number]) for number in range(len(sizes) + 1)]


@pytest.mark.usefixtures("no_fsync")
@pytest.mark.parametrize("flushed", [False, True])
def test_a_log_cut_at_every_byte_ends_at_a_batch(tmp_path: Path, flushed: bool) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    batches = [
        batch(b"a", b"b"),
        batch(b"c" * 30, codec=Codec.GZIP),
        batch(b"d"),
        batch(b"e", b"f"),
    ]
    ends = killed_with(whole, *batches)
    if flushed:  # as a disk may leave it that says "written" too early
        (whole / "recovery-point-offset-checkpoint").write_text(f"0\n1\n{TOPIC} 0 6\n")
    values = [[], [b"a", b"b"], [b"c" * 30], [b"d"], [b"e", b"f"]]
    for size_bytes in range(ends[1], ends[-1]):
        shutil.copytree(whole, cut)
        os.truncate(log_file(cut, 0), size_bytes)
        logs = open_logs(cut)
        kept = sum(end <= size_bytes for end in ends)
        assert values_in(logs) == [value for part in values[:kept] for value in part]
        assert log_file(cut, 0).stat().st_size == ends[kept - 1]
        torn_bytes = size_bytes - ends[kept - 1]
        moved = [path.stat().st_size for path in (cut / PARTITION).glob("*.torn")]
        assert moved == ([torn_bytes] if flushed and torn_bytes else [])
        logs.find(TOPIC, 0).append(batch(b"next"))
        assert values_in(logs)[-1] == b"next"
        logs.close()
        assert verify(cut, deep=True).faults == []
        shutil.rmtree(cut)


@pytest.mark.usefixtures("no_fsync")
def test_every_flipped_bit_of_the_last_batch_is_found(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    ends = killed_with(directory, batch(b"first"), batch(b"second"))
    path = log_file(directory, 0)
    whole = path.read_bytes()
    # Offset and leader epoch are not covered by the CRC: a larger one still makes a legal batch.
    covered = [
        at for at in range(ends[1], ends[2]) if not (at - ends[1] < 8 or 12 <= at - ends[1] < 16)
    ]
    for position in covered:
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            logs = open_logs(directory)
            assert values_in(logs) == [b"first"], (position, bit)
            kill(logs)


def test_segments_behind_a_torn_one_are_dropped(tmp_path: Path) -> None:
    killed_with(tmp_path, *[batch(b"x" * 300) for _ in range(9)], segment_bytes="1000")
    bases = [int(path.stem) for path in sorted((tmp_path / PARTITION).glob("*.log"))]
    assert len(bases) == 5
    middle = log_file(tmp_path, bases[2])
    os.truncate(middle, middle.stat().st_size - 1)
    logs = open_logs(tmp_path, segment_bytes="1000")
    log = logs.find(TOPIC, 0)
    assert log.log_end_offset == bases[3] - 1
    assert [int(path.stem) for path in sorted((tmp_path / PARTITION).glob("*.log"))] == bases[:3]
    aside = sorted(path.name for path in (tmp_path / PARTITION).glob("*.log.dropped"))
    assert aside == [segment_file(base, ".log.dropped") for base in bases[3:]]
    assert log.append(batch(b"on")).base_offset == bases[3] - 1
    assert len(read_all(log)) == bases[3]
    logs.close()
    assert verify(tmp_path, deep=True).faults == []


def test_a_segment_that_lost_whole_batches_ends_the_log(tmp_path: Path) -> None:
    killed_with(tmp_path, *[batch(b"x" * 300) for _ in range(5)], segment_bytes="1000")
    first = log_file(tmp_path, 0)
    os.truncate(first, first.stat().st_size // 2)  # two batches of the same size
    logs = open_logs(tmp_path, segment_bytes="1000")
    assert logs.find(TOPIC, 0).log_end_offset == 1


def test_damage_to_what_was_flushed_is_refused_not_cut(tmp_path: Path) -> None:
    logs = open_logs(tmp_path)
    log = log_in(logs)
    logs.create_topic("other", 1)
    for value in (b"a", b"b", b"c"):
        log.append(batch(value))
    log.flush()
    logs.housekeeping(Clock().now_ms + 60_000)  # writes the recovery point down
    kill(logs)
    path = log_file(tmp_path, 0)
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    logs = open_logs(tmp_path)
    with pytest.raises(KafkaStorageError, match=rf"{path} at position 69.*recovery point 3"):
        logs.find(TOPIC, 0)
    assert path.read_bytes() == content
    assert logs.find("other", 0).append(batch()).base_offset == 0
    # Once the good copy is back, so is the partition.
    kill(logs)
    content[100] ^= 1
    path.write_bytes(content)
    assert values_in(open_logs(tmp_path)) == [b"a", b"b", b"c"]


def test_a_clean_stop_needs_no_look_at_the_records(tmp_path: Path) -> None:
    logs = open_logs(tmp_path)
    log_in(logs).append(batch(b"a"))
    log_in(logs).append(batch(b"b"))
    logs.close()
    path = log_file(tmp_path, 0)
    content = bytearray(path.read_bytes())
    content[65] ^= 1  # within the first batch's record: a scan would have stopped here
    path.write_bytes(content)
    assert open_logs(tmp_path).find(TOPIC, 0).log_end_offset == 2


def test_recovery_reads_only_behind_the_recovery_point(tmp_path: Path) -> None:
    logs = open_logs(tmp_path, flush_ms="0", index_interval_bytes="0")
    log = log_in(logs)
    for _ in range(50):
        log.append(batch(b"x" * 100))
    logs.housekeeping(Clock().now_ms + 60_000)  # flushes, and writes the recovery point down
    assert log.recovery_point == 50
    log.append(batch(b"last"))
    kill(logs)
    path = log_file(tmp_path, 0)
    content = bytearray(path.read_bytes())
    content[100] ^= 1  # in the first batch, which is on disk: nobody looks there
    path.write_bytes(content)
    logs = open_logs(tmp_path)
    assert logs.find(TOPIC, 0).log_end_offset == 51


@pytest.mark.parametrize("suffix", SEGMENT_SUFFIXES[1:])
@pytest.mark.parametrize("content", [None, b"", b"12345", b"\xff" * 24, bytes(240), b"\x01" * 96])
@pytest.mark.parametrize("is_clean", [False, True])
def test_a_damaged_index_is_built_anew(
    tmp_path: Path, suffix: str, content: bytes | None, is_clean: bool
) -> None:
    overrides: dict[str, Any] = {"segment_bytes": "2000", "index_interval_bytes": "100"}
    logs = open_logs(tmp_path, **overrides)
    log = log_in(logs)
    for number in range(40):
        log.append(batch(b"%d" % number * 40, timestamps_ms=(number * 10,)))
    bases = [segment.base_offset for segment in segments_of(log)]
    entries = [(index_entries_of(log, base), time_index_entries_of(log, base)) for base in bases]
    logs.close() if is_clean else kill(logs)
    for base in bases:
        path = tmp_path / PARTITION / segment_file(base, suffix)
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
    logs = open_logs(tmp_path, **overrides)
    log = logs.find(TOPIC, 0)
    for offset in range(40):
        assert read_all(log, offset)[0].value == b"%d" % offset * 40
        found = log.offset_for_timestamp(offset * 10 - 3)
        assert found == (offset, offset * 10)
    logs.close()
    assert verify(tmp_path, deep=True).faults == []
    if content and any(content) and suffix == ".index":  # an empty one is legal, only slower
        log = open_logs(tmp_path, **overrides).find(TOPIC, 0)
        assert [index_entries_of(log, base) for base in bases] == [
            offsets for offsets, _ in entries
        ]


def test_a_time_index_that_lost_its_end_does_not_make_a_segment_look_old(tmp_path: Path) -> None:
    overrides: dict[str, Any] = {"segment_bytes": "2000", "index_interval_bytes": "100"}
    logs = open_logs(tmp_path, **overrides)
    log = log_in(logs)
    for number in range(40):
        log.append(batch(b"x" * 40, timestamps_ms=(NOW_MS + number,)))
    expected = [segment.largest_ms for segment in segments_of(log)]
    logs.close()
    for path in (tmp_path / PARTITION).glob("*.timeindex"):
        content = path.read_bytes()
        path.write_bytes(content[:-12] + bytes(12))  # a page that never reached the disk
    log = open_logs(tmp_path, **overrides).find(TOPIC, 0)
    assert [segment.largest_ms for segment in segments_of(log)] == expected


def test_the_leader_epoch_grows_after_a_crash_only(tmp_path: Path) -> None:
    logs = open_logs(tmp_path)
    log = log_in(logs)
    log.append(batch())
    assert log.leader_epoch == 0
    logs.close()
    logs = open_logs(tmp_path)
    log = logs.find(TOPIC, 0)
    assert (log.leader_epoch, log.append(batch()).base_offset) == (0, 1)
    kill(logs)
    logs = open_logs(tmp_path)
    log = logs.find(TOPIC, 0)
    assert (log.leader_epoch, log.append(batch()).base_offset) == (1, 2)
    assert [header.leader_epoch for header, _ in read_batches(log)] == [0, 0, 1]
    assert log.offset_for_leader_epoch(0) == (0, 2)
    assert log.offset_for_leader_epoch(1) == (1, 3)
    assert (tmp_path / PARTITION / "leader-epoch-checkpoint").read_text() == "0\n2\n0 0\n1 2\n"


class PowerCut:
    """Remembers what fsync(2) has forced to disk: that alone is left after a power cut."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.root = root
        self.durable: dict[str, bytes] = {}
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, self._remember)
        monkeypatch.setattr("zerocopy_lab.log.atomic_file._fdatasync", self._remember)

    def _remember(self, fd: int) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}")
        if os.path.isfile(path):
            self.durable[path] = Path(path).read_bytes()
        elif os.path.isdir(path):  # names: renamed files take what was forced of them along
            for name in os.listdir(path):
                inner = os.path.join(path, name)
                if os.path.isfile(inner) and inner not in self.durable:
                    self.durable[inner] = self.durable.get(inner + ".tmp", b"")

    def files_left(self) -> Iterator[tuple[Path, bytes]]:
        for path, content in self.durable.items():
            if os.path.exists(path):
                yield Path(path).relative_to(self.root), content


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc to name descriptors")
@pytest.mark.parametrize(
    ("overrides", "at_least"),
    [
        ({"flush_messages": "1"}, 23),
        ({"flush_messages": "5"}, 20),
        ({"flush_ms": "100"}, 15),
        ({"segment_bytes": "1000"}, 18),  # whole segments are flushed in the background
        ({}, 0),
    ],
)
def test_a_power_cut_takes_what_the_flush_policy_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: dict[str, Any], at_least: int
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    power = PowerCut(monkeypatch, before)
    clock = Clock()
    logs = open_logs(before, clock=clock, **overrides)
    log = log_in(logs)
    for number in range(23):
        log.append(batch(b"%03d" % number * 30))
        if number == 14 or (number == 22 and "segment_bytes" in overrides):
            clock.now_ms += 60_000
            logs.housekeeping(clock.now_ms)
    recovery_point = log.recovery_point
    for path, content in power.files_left():
        (after / path).parent.mkdir(parents=True, exist_ok=True)
        (after / path).write_bytes(content)
    kill(logs)
    logs = open_logs(after, clock=clock, **overrides)
    found = [record.value for record in read_all(log_in(logs))]
    assert found == [b"%03d" % number * 30 for number in range(len(found))]
    assert recovery_point <= len(found)
    assert len(found) == at_least
    assert log_in(logs).append(batch()).base_offset == len(found)


def test_a_power_cut_that_emptied_older_snapshots_leaves_nothing_to_complain_of(
    tmp_path: Path,
) -> None:
    """They are not forced to disk; the records that they sum up are."""
    logs = open_logs(tmp_path)
    log = log_in(logs)
    for sequence in range(4):
        log.append(batch(producer_id=7, sequence=sequence))
        log.roll()
    kill(logs)
    snapshots = sorted((tmp_path / PARTITION).glob("*.snapshot"))
    assert len(snapshots) >= 3
    for path in snapshots[:-1]:
        path.write_bytes(b"")
    assert verify(tmp_path).faults
    logs = open_logs(tmp_path)
    assert log_in(logs).append(batch(producer_id=7, sequence=3)).base_offset == 3  # again
    logs.close()
    assert verify(tmp_path).faults == []
