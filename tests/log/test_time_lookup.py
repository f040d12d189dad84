"""ListOffsets by timestamp: exact, whatever the clocks of the producers did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.log.making import NOW_MS, Clock, batch, kill, log_in, open_logs
from zerocopy_lab.records.compression import Codec

STAMPS = st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=6), min_size=1, max_size=25)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    STAMPS, st.sampled_from(Codec), st.sampled_from(["reopened", "idle", "busy"]), st.floats(0, 1)
)
def test_the_first_record_that_is_young_enough(
    tmp_path_factory: pytest.TempPathFactory,
    stamps: list[list[int]],
    codec: Codec,
    state: str,
    deleted: float,
) -> None:
    overrides: dict[str, Any] = {"segment_bytes": "600", "index_interval_bytes": "100"}
    directory = tmp_path_factory.mktemp("log")
    logs = open_logs(directory, **overrides)
    log = log_in(logs)
    for one in stamps:
        log.append(batch(*[b"v"] * len(one), timestamps_ms=tuple(one), codec=codec))
    every = [stamp for one in stamps for stamp in one]
    start = log.delete_records_before(int(deleted * len(every)))
    if state == "reopened":
        logs.close()
        logs = open_logs(directory, **overrides)
        log = log_in(logs)
        assert log.log_start_offset == start
    if state == "idle":
        logs.open_files.close_idle()
        logs.open_files.close_idle()
    for wanted in range(62):
        expected = next(((o, t) for o, t in enumerate(every) if t >= wanted and o >= start), None)
        assert log.offset_for_timestamp(wanted) == expected
    left = every[start:]
    largest = (every.index(max(left), start), max(left)) if left else None
    assert log.offset_of_max_timestamp() == largest
    kill(logs)


def test_log_append_time_counts_for_the_whole_batch(tmp_path: Path) -> None:
    clock = Clock()
    log = log_in(open_logs(tmp_path, clock=clock, message_timestamp_type="LogAppendTime"))
    log.append(batch(b"a", b"b", timestamps_ms=(5, 9)))
    clock.now_ms += 10
    log.append(batch(b"c", b"d", timestamps_ms=(1, 2), codec=Codec.GZIP))
    assert log.offset_for_timestamp(6) == (0, NOW_MS)
    assert log.offset_for_timestamp(NOW_MS + 1) == (2, NOW_MS + 10)
    assert log.offset_for_timestamp(NOW_MS + 11) is None


@pytest.mark.parametrize("reopen", [False, True])
def test_records_without_a_timestamp_are_never_found(tmp_path: Path, reopen: bool) -> None:
    logs = open_logs(tmp_path)
    log = log_in(logs)
    log.append(batch(timestamps_ms=(-1,)))
    if reopen:
        logs.close()
        log = log_in(open_logs(tmp_path))
    assert log.offset_for_timestamp(0) is None
    assert log.offset_of_max_timestamp() is None
