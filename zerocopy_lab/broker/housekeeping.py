"""The thread that looks after the logs: retention, compaction, checkpoints, flushing by time.

It is a thread of its own because all of that may wait for the disk, and a network thread that waits
for the disk serves nobody.
"""

from __future__ import annotations

import logging
import threading
import time

from zerocopy_lab.log.startup.log_directories import LogDirectories

_LOGGER = logging.getLogger(__name__)


class Housekeeping:
    """Calls `LogDirectories.housekeeping` every `interval_ms`, from `start` until `stop`."""

    def __init__(self, logs: LogDirectories, interval_ms: int) -> None:
        self._logs = logs
        self._interval_s = interval_ms / 1000
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin; the first round comes after one interval."""
        self._thread.start()

    def stop(self) -> None:
        """Let the current round end, then return."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self._logs.housekeeping(time.time_ns() // 1_000_000)
            except Exception:  # e.g. a full disk; the next round tries again
                _LOGGER.exception("a round of housekeeping failed")
