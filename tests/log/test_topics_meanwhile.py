from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from zerocopy_lab.log import TopicPartition, checkpoints
from zerocopy_lab.log.checkpoints import read_offsets
from zerocopy_lab.log.startup.log_directories import LogDirectories


def test_a_topic_is_deleted_while_housekeeping_writes_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both write the same files. One must not take away the other's temporary file, and
    housekeeping must not write down again what has been deleted.
    """
    writing, go_on = threading.Event(), threading.Event()
    one_at_a_time = threading.Lock()
    overlaps: list[Path] = []
    write_offsets = checkpoints.write_offsets

    def slowly(path: Path, offsets: Mapping[TopicPartition, int]) -> None:
        if not one_at_a_time.acquire(blocking=False):
            overlaps.append(path)
            return
        try:
            writing.set()
            assert go_on.wait(30)
            write_offsets(path, offsets)
        finally:
            one_at_a_time.release()

    logs = LogDirectories.open([tmp_path])
    logs.create_topic("gone", 1)
    logs.create_topic("stays", 1)
    monkeypatch.setattr(checkpoints, "write_offsets", slowly)
    later_ms = 1 << 45  # so that all of them are due
    housekeeping = threading.Thread(target=logs.housekeeping, args=(later_ms,))
    deleting = threading.Thread(target=logs.delete_topic, args=("gone",))
    housekeeping.start()
    assert writing.wait(30)
    deleting.start()
    deleting.join(0.2)  # time enough to get in the way
    go_on.set()
    housekeeping.join()
    deleting.join()
    assert overlaps == []
    assert dict(logs.offline) == {}
    assert read_offsets(tmp_path / "replication-offset-checkpoint") == {
        TopicPartition("stays", 0): 0
    }
    logs.close()
