"""Compaction: the table stays the same, the log gets shorter, and no crash can come between."""

from __future__ import annotations

import os
import random
import shutil
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
from tests.log.power_off import PowerOff, before_operation
from zerocopy_lab.errors import InvalidRecord
from zerocopy_lab.inspect.segment_info import segments_of
from zerocopy_lab.inspect.verification import verify
from zerocopy_lab.log import PartitionLog
from zerocopy_lab.log.upkeep.compaction import cleanable, compact, dirty_ratio, is_overdue
from zerocopy_lab.records.compression import Codec

SETTINGS: dict[str, Any] = {
    "segment_bytes": "600",
    "cleanup_policy": "compact",
    "file_delete_delay_ms": "0",
}


def table(log: PartitionLog) -> dict[bytes, bytes]:
    """What a consumer that reads everything knows in the end."""
    known: dict[bytes, bytes] = {}
    for record in read_all(log):
        assert record.key is not None
        if record.value is None:
            known.pop(record.key, None)
        else:
            known[record.key] = record.value
    return known


def fill(log: PartitionLog, seed: int, batches: int = 60) -> dict[int, tuple[bytes, bytes | None]]:
    chance = random.Random(seed)
    written: dict[int, tuple[bytes, bytes | None]] = {}
    for _ in range(batches):
        count = chance.randint(1, 4)
        keys = tuple(b"key%d" % chance.randint(0, 9) for _ in range(count))
        values = [chance.choice([None, chance.randbytes(20), chance.randbytes(20)]) for _ in keys]
        codec = chance.choice(list(Codec))
        first = log.append(batch(*values, keys=keys, codec=codec)).base_offset
        written.update({first + i: pair for i, pair in enumerate(zip(keys, values, strict=True))})
    return written


@pytest.mark.usefixtures("no_fsync")
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("most_keys", [3, 1000])
def test_the_last_record_of_every_key_stays_where_it_was(
    tmp_path: Path, seed: int, most_keys: int
) -> None:
    logs = open_logs(tmp_path, **SETTINGS)
    log = log_in(logs)
    written = fill(log, seed)
    log.flush()
    before = table(log)
    while dirty_ratio(log, NOW_MS) > 0:
        reached = log.cleaned_offset
        compact(log, NOW_MS, most_keys)
        assert log.cleaned_offset > reached
    active = segments_of(log)[-1].base_offset
    assert log.cleaned_offset == active
    last = {key: offset for offset, (key, _) in written.items() if offset < active}
    kept = {record.offset: (record.key, record.value) for record in read_all(log)}
    assert kept == {
        offset: pair
        for offset, pair in written.items()
        if offset >= active or last[pair[0]] == offset
    }
    assert table(log) == before
    for offset in range(log.log_end_offset):  # a consumer may stand anywhere
        expected = [at for at in kept if at >= offset]
        assert [record.offset for record in read_all(log, offset)] == expected
    logs.close()
    assert verify(tmp_path, deep=True).faults == []
    log = open_logs(tmp_path, **SETTINGS).find(TOPIC, 0)
    assert table(log) == before
    assert log.cleaned_offset == active


def test_a_batch_that_keeps_everything_is_not_touched(tmp_path: Path) -> None:
    log = log_in(open_logs(tmp_path, **SETTINGS))
    for number in range(8):
        log.append(batch(b"x" * 200, keys=(b"key%d" % number,), codec=Codec.ZSTD))
    before = [fetched for _, fetched in read_batches(log)]
    log.flush()
    compact(log, NOW_MS)
    assert [fetched for _, fetched in read_batches(log)] == before


def test_tombstones_stay_until_everybody_has_had_the_time_to_see_them(tmp_path: Path) -> None:
    clock = Clock()
    logs = open_logs(tmp_path, clock=clock, delete_retention_ms="1000", **SETTINGS)
    log = log_in(logs)

    def write_and_compact(value: bytes | None, key: bytes) -> list[bytes | None]:
        log.append(batch(value, keys=(key,)))
        log.append(batch(b"x" * 500, keys=(b"large",)))  # rolls
        log.append(batch(b"x" * 500, keys=(b"large",)))
        log.flush()
        compact(log, clock.now_ms)
        return [record.value for record in read_all(log) if record.key == b"a"]

    assert write_and_compact(b"1", b"a") == [b"1"]
    assert write_and_compact(None, b"a") == [None]
    clock.now_ms += 1000
    assert write_and_compact(b"?", b"b") == [None]
    clock.now_ms += 1
    assert write_and_compact(b"?", b"c") == []
    logs.close()
    assert verify(tmp_path, deep=True).faults == []


def test_neither_the_active_segment_nor_young_or_unflushed_ones_are_touched(tmp_path: Path) -> None:
    clock = Clock()
    logs = open_logs(tmp_path, clock=clock, min_compaction_lag_ms="1000", **SETTINGS)
    log = log_in(logs)
    for number in range(12):
        stamp = (NOW_MS + 100 * number,)
        log.append(batch(b"x" * 200, keys=(b"key",), timestamps_ms=stamp))
    assert cleanable(log, NOW_MS + 10_000) == []
    log.flush()
    bases = [segment.base_offset for segment in segments_of(log)]
    assert bases == [0, 2, 4, 6, 8, 10]
    assert [segment.base_offset for segment in cleanable(log, NOW_MS + 1_600)] == bases[:3]
    assert [segment.base_offset for segment in cleanable(log, NOW_MS + 10_000)] == bases[:-1]


def test_a_producer_is_known_even_when_all_its_records_are_gone(tmp_path: Path) -> None:
    logs = open_logs(tmp_path, **SETTINGS)
    log = log_in(logs)
    for sequence in range(3):
        log.append(batch(b"1", keys=(b"key",), producer_id=7, sequence=sequence))
    for _ in range(4):
        log.append(batch(b"x" * 300, keys=(b"key",)))
    log.flush()
    compact(log, NOW_MS)
    headers = [header for header, _ in read_batches(log)]
    assert [(h.producer_id, h.base_offset, h.records_count) for h in headers[:1]] == [(7, 2, 0)]
    # The snapshots are gone: what is in the log must be enough.
    kill(logs)
    for path in (tmp_path / f"{TOPIC}-0").glob("*.snapshot"):
        path.unlink()
    log = open_logs(tmp_path, **SETTINGS).find(TOPIC, 0)
    again = log.append(batch(b"1", keys=(b"key",), producer_id=7, sequence=2))
    assert again.base_offset == 2
    assert log.log_end_offset == 7


def test_records_without_a_key_are_refused(tmp_path: Path) -> None:
    log = log_in(open_logs(tmp_path, **SETTINGS))
    with pytest.raises(InvalidRecord, match="record 0: no key"):
        log.append(batch(b"no key"))
    assert log.log_end_offset == 0


def test_housekeeping_compacts_when_enough_is_dirty(tmp_path: Path) -> None:
    clock = Clock()
    logs = open_logs(tmp_path, clock=clock, **SETTINGS)
    log = log_in(logs)
    fill(log, seed=1)
    size_bytes = log.size_bytes
    logs.housekeeping(clock.now_ms)  # flushes what was rolled, then compacts it
    assert log.size_bytes < size_bytes
    assert log.cleaned_offset == segments_of(log)[-1].base_offset
    logs.housekeeping(clock.now_ms)
    assert not list((tmp_path / f"{TOPIC}-0").glob("*.deleted"))
    assert (tmp_path / "cleaner-offset-checkpoint").read_text() == (
        f"0\n1\n{TOPIC} 0 {log.cleaned_offset}\n"
    )


def test_compact_and_delete_does_both(tmp_path: Path) -> None:
    clock = Clock()
    settings: dict[str, Any] = {
        **SETTINGS,
        "cleanup_policy": "compact,delete",
        "retention_ms": "1000",
    }
    logs = open_logs(tmp_path, clock=clock, **settings)
    log = log_in(logs)
    fill(log, seed=2)
    size_bytes = log.size_bytes
    logs.housekeeping(clock.now_ms)
    assert 0 < log.size_bytes < size_bytes
    clock.now_ms += 1001
    logs.housekeeping(clock.now_ms)
    assert log.size_bytes == 0
    assert log.log_start_offset == log.log_end_offset > 0


@pytest.mark.usefixtures("no_fsync")
def test_a_crash_at_every_step_of_the_swap_leaves_the_same_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    logs = open_logs(whole, **SETTINGS)
    log = log_in(logs)
    logs.alter_settings(TOPIC, {"cleanup.policy": "compact"})  # written down, unlike a default
    fill(log, seed=3, batches=16)
    log.flush()
    before, end = table(log), log.log_end_offset
    kill(logs)

    def crash_at(step: int, directory: Path) -> bool:
        """Compact, and end before the file operation number `step`; False when there are fewer."""
        counted = before_operation(step)
        logs = open_logs(directory, **SETTINGS)
        log = logs.find(TOPIC, 0)
        log.flush()
        with monkeypatch.context() as patched:
            for name in ("rename", "unlink"):
                patched.setattr(Path, name, counted(getattr(Path, name)))
            patched.setattr(os, "unlink", counted(os.unlink))
            try:
                compact(log, NOW_MS)
                crashed = False
            except PowerOff:
                crashed = True
        kill(logs)
        return crashed

    step = 0
    while True:
        directory = tmp_path / f"step{step}"
        shutil.copytree(whole, directory)
        crashed = crash_at(step, directory)
        shutil.copytree(directory, tmp_path / "again")
        crash_during_start(tmp_path / "again", monkeypatch)
        for left in (directory, tmp_path / "again"):
            logs = open_logs(left, **SETTINGS)
            log = logs.find(TOPIC, 0)
            assert table(log) == before, step
            assert log.log_end_offset == end
            assert not [
                name for name in os.listdir(log.directory) if name.endswith(("cleaned", "swap"))
            ]
            logs.close()
            assert verify(left, deep=True).faults == [], step
        shutil.rmtree(tmp_path / "again")
        shutil.rmtree(directory)
        if not crashed:
            break
        step += 1
    assert step > 10


def crash_during_start(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start, and end at the first renaming."""

    def power_off(*_: Any) -> None:
        raise PowerOff

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", power_off)
        try:
            kill(open_logs(directory, **SETTINGS))
        except PowerOff:
            shutil.rmtree(directory / ".lock", ignore_errors=True)
            (directory / ".lock").unlink()  # the process that held it would be gone


def test_records_without_a_key_go_when_a_topic_becomes_compacted(tmp_path: Path) -> None:
    """Nothing could ever replace them; a batch that has both kinds keeps the others."""
    logs = open_logs(tmp_path, segment_bytes="300", file_delete_delay_ms="0")
    log = log_in(logs)
    for number in range(6):
        log.append(batch(b"no key %d" % number))
        log.append(batch(b"%d" % number, keys=(b"k",)))
    logs.alter_settings(TOPIC, {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0"})
    log.roll()
    log.append(batch(b"active", keys=(b"k",)))
    log.flush()
    end = log.log_end_offset
    compact(log, NOW_MS)
    assert [(r.key, r.value) for r in read_all(log)] == [(b"k", b"5"), (b"k", b"active")]
    assert log.log_end_offset == end
    with pytest.raises(InvalidRecord):
        log.append(batch(b"no key"))


def test_no_record_waits_longer_than_max_compaction_lag_ms(tmp_path: Path) -> None:
    """However little of the log is dirty: an old value may have to be gone by a certain day."""
    clock = Clock()
    logs = open_logs(
        tmp_path,
        clock=clock,
        cleanup_policy="compact",
        min_cleanable_dirty_ratio="1.0",
        max_compaction_lag_ms="1000",
        file_delete_delay_ms="0",
    )
    log = log_in(logs)
    for number in range(10):
        log.append(batch(b"%d" % number * 50, keys=(b"k",), timestamps_ms=(NOW_MS,)))
    log.append(batch(b"later", keys=(b"k",), timestamps_ms=(NOW_MS + 1001,)))
    assert len(log.segments) == 2, "what must be compacted by then must not be active"
    log.flush()
    compact(log, NOW_MS)
    log.append(batch(b"even later", keys=(b"k",), timestamps_ms=(NOW_MS + 3000,)))
    log.flush()
    assert 0 < dirty_ratio(log, NOW_MS) < 1
    assert not is_overdue(log, NOW_MS + 2000)
    logs.housekeeping(NOW_MS + 2000)
    assert len(read_all(log)) == 3
    assert is_overdue(log, NOW_MS + 2002)
    logs.housekeeping(NOW_MS + 2002)
    assert [r.value for r in read_all(log)] == [b"later", b"even later"]
