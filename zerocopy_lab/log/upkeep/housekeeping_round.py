"""What a round of housekeeping does to the logs: each has its turn, one is compacted, the idle let
go of their files.

What goes wrong with one partition is said in the log (`Complaints`) and keeps no other waiting.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from zerocopy_lab.errors import KafkaError
from zerocopy_lab.log.open_files import OpenFiles
from zerocopy_lab.log.partition_log import PartitionLog
from zerocopy_lab.log.upkeep.compaction import compact, dirty_ratio, is_overdue
from zerocopy_lab.log.upkeep.flushing import look_after

_LOGGER = logging.getLogger(__name__)
IDLE_INTERVAL_MS = 30_000  # who has not used a file for this long lets go of it
MOST_PER_ROUND = 1000  # partitions that are looked after, some 10 ms


class Complaints:
    """What went wrong in the last round, so that it is said once, and when it changes."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}  # action -> the error it ended with last time

    @contextmanager
    def about(self, action: str) -> Iterator[None]:
        """Within it an error is written to the log, unless it is the same as last time, and that is
        all.
        """
        try:
            yield
        except (KafkaError, OSError) as error:
            if self._said.get(action) != str(error):
                self._said[action] = str(error)
                _LOGGER.error("%s: %s", action, error)
        else:
            if self._said.pop(action, None) is not None:
                _LOGGER.info("%s: in order again", action)


class Rounds:
    """Remembers whose turn is next."""

    def __init__(self, open_files: OpenFiles, now_ms: int, complaints: Complaints) -> None:
        self._complaints = complaints
        self._open_files = open_files
        self._looked_after = 0
        self._last_idle_ms = now_ms

    def look_after(self, logs: list[PartitionLog], now_ms: int) -> None:
        """A round over some of `logs`, which are all there are."""
        turn = self._turn(logs)
        for log in turn:
            with self._complaints.about(f"looking after {log.name}"):
                look_after(log, now_ms)
        self._compact_dirtiest([log for log in turn if log.settings.compacts], now_ms)
        if now_ms - self._last_idle_ms >= IDLE_INTERVAL_MS:
            self._open_files.close_idle()
            self._last_idle_ms = now_ms

    def _turn(self, logs: list[PartitionLog]) -> list[PartitionLog]:
        """At ten thousand partitions not all in one round: the network threads would have to wait
        for it.
        """
        first = self._looked_after % max(len(logs), 1)
        self._looked_after += MOST_PER_ROUND
        return (logs[first:] + logs[:first])[:MOST_PER_ROUND]

    def _compact_dirtiest(self, logs: list[PartitionLog], now_ms: int) -> None:
        """One partition a round, as a Kafka with one cleaner thread does."""
        due = []
        for log in logs:
            with (
                self._complaints.about(f"looking at {log.name}"),
                log.storage_errors("look at"),
            ):
                ratio = dirty_ratio(log, now_ms)
                if ratio > 0 and (
                    ratio >= log.settings.min_cleanable_dirty_ratio or is_overdue(log, now_ms)
                ):
                    due.append((ratio, log))
        if due:
            log = max(due, key=lambda candidate: candidate[0])[1]
            with self._complaints.about(f"compacting {log.name}"):
                compact(log, now_ms)
