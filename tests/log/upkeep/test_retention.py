"""Old segments go: when, why, and without disturbing anybody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.log.making import NOW_MS, TOPIC, Clock, batch, kill, log_in, open_logs, read_all
from zerocopy_lab.errors import OffsetOutOfRange
from zerocopy_lab.inspect.segment_info import segments_of
from zerocopy_lab.log import PartitionLog
from zerocopy_lab.log.startup.log_directories import LogDirectories

BATCH_BYTES = len(batch(b"x" * 100))


def filled(directory: Path, clock: Clock, **overrides: str) -> tuple[LogDirectories, PartitionLog]:
    """Twelve records, one a second, three in a segment."""
    segment_bytes = str(3 * BATCH_BYTES)
    logs = open_logs(directory, clock=clock, segment_bytes=segment_bytes, **overrides)
    log = log_in(logs)
    for number in range(12):
        log.append(batch(b"x" * 100, timestamps_ms=(NOW_MS + 1000 * number,)))
    assert [segment.base_offset for segment in segments_of(log)] == [0, 3, 6, 9]
    return logs, log


@pytest.mark.parametrize(
    ("late_ms", "start"), [(3000, 0), (3001, 3), (6000, 3), (9001, 9), (12_000, 9), (12_001, 12)]
)
def test_by_time(tmp_path: Path, late_ms: int, start: int) -> None:
    clock = Clock()
    logs, log = filled(tmp_path, clock, retention_ms="1000")
    logs.housekeeping(NOW_MS + late_ms)
    assert log.log_start_offset == start
    assert segments_of(log)[0].base_offset == start
    assert log.log_end_offset == 12
    assert log.append(batch()).base_offset == 12


@pytest.mark.parametrize(
    ("kept_bytes", "start"),
    [
        (12 * BATCH_BYTES, 0),
        (9 * BATCH_BYTES + 1, 0),  # a segment goes only if all of it is too much
        (9 * BATCH_BYTES, 3),
        (3 * BATCH_BYTES, 9),
        (3 * BATCH_BYTES - 1, 9),
        (0, 12),
        (-1, 0),
    ],
)
def test_by_size(tmp_path: Path, kept_bytes: int, start: int) -> None:
    clock = Clock()
    logs, log = filled(tmp_path, clock, retention_bytes=str(kept_bytes))
    logs.housekeeping(NOW_MS)
    assert log.log_start_offset == start


@pytest.mark.parametrize(("before", "first_segment"), [(2, 0), (3, 3), (8, 6), (12, 9), (-1, 9)])
@pytest.mark.parametrize("policy", ["delete", "compact"])
def test_by_start_offset(tmp_path: Path, before: int, first_segment: int, policy: str) -> None:
    clock = Clock()
    logs, log = filled(tmp_path, clock)
    # (Compaction would take the records, which have no keys.)
    logs.alter_settings(TOPIC, {"cleanup.policy": policy, "min.compaction.lag.ms": "1000000"})
    start = 12 if before == -1 else before
    assert log.delete_records_before(before) == start
    with pytest.raises(OffsetOutOfRange):
        log.read(start - 1, 1000)
    logs.housekeeping(NOW_MS)
    assert segments_of(log)[0].base_offset == first_segment
    assert log.log_start_offset == start
    assert log.delete_records_before(1) == start  # never back
    with pytest.raises(OffsetOutOfRange, match="high watermark is 12"):
        log.delete_records_before(13)
    kill(logs)  # housekeeping has written it down
    log = open_logs(tmp_path, clock=clock).find(TOPIC, 0)
    assert log.log_start_offset == start
    assert [record.offset for record in read_all(log)] == list(range(start, 12))


def test_the_first_that_stays_keeps_all_behind_it(tmp_path: Path) -> None:
    clock = Clock()
    logs = open_logs(tmp_path, clock=clock, segment_bytes="200", retention_ms="1000")
    log = log_in(logs)
    for age_ms in (5000, 0, 5000, 5000):  # producers' clocks differ
        log.append(batch(b"x" * 100, timestamps_ms=(NOW_MS - age_ms,)))
    why = [(segment.deletable, segment.why) for segment in segments_of(log, NOW_MS)]
    assert why[0] == (True, "youngest record 5 s old, limit 1 s (retention.ms=1000)")
    assert why[1] == (False, "young enough, and the log is small enough")
    assert why[2] == (False, "behind a segment that stays")
    assert why[3] == (False, "active: records are written to it")
    logs.housekeeping(NOW_MS)
    assert log.log_start_offset == 1


def test_files_stay_for_the_delay_and_fetches_in_flight_for_ever(tmp_path: Path) -> None:
    clock = Clock()
    logs, log = filled(tmp_path, clock, retention_bytes="0", file_delete_delay_ms="5000")
    piece = log.read(1, 1000)
    assert piece is not None
    before = os.pread(piece.file.fd, piece.length, piece.position)
    logs.housekeeping(NOW_MS)
    names = {path.name for path in log.directory.iterdir()}
    assert f"{0:020d}.log.deleted" in names
    assert not names & {
        f"{base:020d}{suffix}" for base in (0, 3, 6, 9) for suffix in (".log", ".index")
    }
    logs.housekeeping(NOW_MS + 4999)
    assert f"{0:020d}.log.deleted" in os.listdir(log.directory)
    logs.housekeeping(NOW_MS + 5000)
    assert not [name for name in os.listdir(log.directory) if "deleted" in name]
    assert os.pread(piece.file.fd, piece.length, piece.position) == before


def test_deleted_files_are_gone_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    logs, log = filled(tmp_path, clock, retention_bytes="0")
    logs.housekeeping(NOW_MS)
    kill(logs)
    log = open_logs(tmp_path, clock=clock).find(TOPIC, 0)
    assert (log.log_start_offset, log.log_end_offset) == (12, 12)
    assert not [name for name in os.listdir(log.directory) if "deleted" in name]


def test_settings_change_at_run_time(tmp_path: Path) -> None:
    clock = Clock()
    logs, log = filled(tmp_path, clock)
    logs.housekeeping(NOW_MS)
    assert log.log_start_offset == 0
    logs.alter_settings(TOPIC, {"retention.bytes": str(6 * BATCH_BYTES)})
    logs.housekeeping(NOW_MS)
    assert log.log_start_offset == 6
    logs.alter_settings(TOPIC, {})
    assert log.settings.retention_bytes == -1


def test_a_record_from_the_future_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    settings = {"retention_ms": "1000", "message_timestamp_after_max_ms": str(2**63 - 1)}
    logs = open_logs(tmp_path, clock=clock, **settings)
    log = log_in(logs)
    log.append(batch(b"old", timestamps_ms=(NOW_MS - 5000,)))
    log.roll()
    log.append(batch(b"future", timestamps_ms=(NOW_MS + 10 * 365 * 86_400_000,)))
    log.roll()
    log.append(batch(b"now"))
    for _ in range(3):
        clock.now_ms += 2000
        logs.housekeeping(clock.now_ms)
    assert log.log_start_offset == 1
    warnings = [line for line in caplog.messages if "from the future" in line]
    assert len(warnings) == 1
    assert f"{1:020d}.log" in warnings[0]
    assert "2033-11-11" in warnings[0]
    kill(logs)
