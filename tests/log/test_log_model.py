"""A log against the simplest model of one, a list. Hypothesis thinks of what may happen."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.log.making import Clock, batch, kill, log_in, open_logs, read_all
from zerocopy_lab.errors import OffsetOutOfRange
from zerocopy_lab.inspect.segment_info import segments_of
from zerocopy_lab.inspect.verification import verify
from zerocopy_lab.records.compression import Codec

SEGMENT_BYTES = 700


class LogAgainstList(RuleBasedStateMachine):
    """`self.values` is the model: offset -> value; `self.start` the log start offset."""

    @initialize(flush_messages=st.sampled_from(["1", "3", "1000000"]))
    def begin(self, flush_messages: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="log-model-"))
        self.clock = Clock()
        self.overrides: dict[str, Any] = {
            "segment_bytes": str(SEGMENT_BYTES),
            "index_interval_bytes": "150",
            "retention_bytes": "2500",
            "file_delete_delay_ms": "1000",
            "flush_messages": flush_messages,
        }
        self.values: list[bytes] = []
        self.start = 0
        self.open()

    def open(self) -> None:
        self.logs = open_logs(self.directory, clock=self.clock, **self.overrides)
        assert not self.logs.refused
        assert not self.logs.offline
        self.log = log_in(self.logs)

    def teardown(self) -> None:
        kill(self.logs)
        shutil.rmtree(self.directory)

    @rule(sizes=st.lists(st.integers(0, 100), min_size=1, max_size=5), codec=st.sampled_from(Codec))
    def append(self, sizes: list[int], codec: Codec) -> None:
        values = [b"%d:" % (len(self.values) + i) + bytes(size) for i, size in enumerate(sizes)]
        stamps = (self.clock.now_ms,) * len(values)
        appended = self.log.append(batch(*values, codec=codec, timestamps_ms=stamps))
        assert appended.base_offset == len(self.values)
        self.values += values
        assert appended.last_offset == len(self.values) - 1

    @rule(steps=st.integers(1, 5000))
    def housekeeping(self, steps: int) -> None:
        self.clock.now_ms += steps
        before = [(s.base_offset, s.size_bytes, s.next_offset) for s in segments_of(self.log)]
        self.logs.housekeeping(self.clock.now_ms)
        self.start = max(self.start, self._start_after_retention(before))

    def _start_after_retention(self, segments: list[tuple[int, int, int]]) -> int:
        start, excess_bytes = 0, sum(size for _, size, _ in segments) - 2500
        for _base_offset, size_bytes, next_offset in segments:
            is_last = next_offset == len(self.values)
            if not (next_offset <= self.start and not is_last) and excess_bytes < max(
                size_bytes, 1
            ):
                break
            excess_bytes -= size_bytes
            start = next_offset
        return start

    @rule(part=st.floats(0, 1))
    def delete_records(self, part: float) -> None:
        offset = int(len(self.values) * part)
        self.start = max(self.start, offset)
        assert self.log.delete_records_before(offset) == self.start

    @rule()
    def flush(self) -> None:
        self.log.flush()
        assert self.log.recovery_point == len(self.values)

    @rule()
    def reopen(self) -> None:
        self.logs.close()
        found = verify(self.directory, deep=True)
        assert found.faults == []
        self.open()

    @rule()
    def crash(self) -> None:
        kill(self.logs)
        self.open()
        # DeleteRecords is written down by housekeeping: until then a crash takes it back.
        assert self.log.log_start_offset <= self.start
        self.start = self.log.log_start_offset

    @rule(part=st.floats(0, 1), max_bytes=st.integers(1, 2000))
    def read_from(self, part: float, max_bytes: int) -> None:
        offset = self.start + int((len(self.values) - self.start) * part)
        found = [record.value for record in read_all(self.log, offset, max_bytes)]
        assert found == self.values[offset:]

    @rule()
    def read_outside(self) -> None:
        for offset in (self.start - 1, len(self.values) + 1):
            try:
                self.log.read(offset, 1000)
            except OffsetOutOfRange:
                continue
            raise AssertionError(f"offset {offset} can be read")

    @rule()
    def idle(self) -> None:
        for _ in range(2):
            self.logs.open_files.close_idle()
        assert self.logs.open_files.count() == 0

    @invariant()
    def bounds(self) -> None:
        assert self.log.log_end_offset == self.log.high_watermark == len(self.values)
        assert self.log.log_start_offset == self.start
        for segment in segments_of(self.log):
            assert segment.size_bytes <= SEGMENT_BYTES


TestLogAgainstList = LogAgainstList.TestCase
TestLogAgainstList.settings = hypothesis_settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
