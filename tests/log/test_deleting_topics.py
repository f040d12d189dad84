"""A topic is deleted while others still use it, or while the broker dies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.log.making import NOW_MS, TOPIC, batch, kill, log_in, open_logs, read_all
from tests.log.power_off import PowerOff, before_operation
from zerocopy_lab.errors import UnknownTopicOrPartition
from zerocopy_lab.file_slice import OpenFile
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.log.upkeep import compaction

PARTITIONS = 3


def _a_topic_of(disks: list[Path]) -> LogDirectories:
    logs = open_logs(*disks)
    logs.create_topic("stays", 1)
    logs.create_topic(TOPIC, PARTITIONS, {"segment.bytes": "12345"})
    for partition in range(PARTITIONS):
        logs.find(TOPIC, partition).append(batch(b"in %d" % partition))
    return logs


def _die_at(step: int, logs: LogDirectories, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Delete the topic, and end before the file operation number `step`; False when there are
    fewer.
    """
    counted = before_operation(step)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", counted(Path.rename))
        patched.setattr(os, "replace", counted(os.replace))
        try:
            logs.delete_topic(TOPIC)
        except PowerOff:
            return True
    return False


@pytest.mark.usefixtures("no_fsync")
def test_a_crash_while_a_topic_is_deleted_leaves_all_of_it_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: list[bool] = []
    crashed = True
    while crashed:
        disks = [tmp_path / name for name in ("disk1", "disk2")]
        logs = _a_topic_of(disks)
        crashed = _die_at(len(outcomes), logs, monkeypatch)
        kill(logs)
        logs = open_logs(*disks)
        is_there = TOPIC in logs.topics()
        if is_there:
            assert logs.topics()[TOPIC].settings.segment_bytes == 12345
            for partition in range(PARTITIONS):
                (record,) = read_all(logs.find(TOPIC, partition))
                assert record.value == b"in %d" % partition
        else:
            assert [log.topic for log in logs.logs()] == ["stays"]
            log_in(logs)  # the name is free, and an older topic's mark does not touch it
            kill(logs)
            logs = open_logs(*disks)
            assert logs.partitions_of(TOPIC) == [0]
        outcomes.append(is_there)
        kill(logs)
        for disk in disks:
            shutil.rmtree(disk)
    assert (outcomes[0], outcomes[-1]) == (True, False)
    assert outcomes == sorted(outcomes, reverse=True), "there is one moment when it is decided"
    assert len(outcomes) > PARTITIONS + 2, "every file operation was tried"


def test_what_was_deleted_on_a_disk_that_was_away_does_not_come_back(tmp_path: Path) -> None:
    disks = [tmp_path / name for name in ("disk1", "disk2")]
    logs = _a_topic_of(disks)
    assert {log.directory.parent for log in logs.logs()} == set(disks)
    logs.close()
    disks[1].rename(tmp_path / "unplugged")
    disks[1].write_text("no directory")
    logs = open_logs(*disks)
    logs.delete_topic(TOPIC)
    logs.close()
    disks[1].unlink()
    (tmp_path / "unplugged").rename(disks[1])
    logs = open_logs(*disks)
    assert TOPIC not in logs.topics()
    assert not list(disks[1].glob(f"{TOPIC}-*"))


def test_a_reader_does_not_get_the_records_of_a_new_topic_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has found the place of its batch. Before it opens the file, the topic is deleted, and
    another one has a file of that name and that length.
    """
    logs = open_logs(tmp_path)
    log = log_in(logs)
    log.append(batch(b"old"))
    for segment in log.segments:
        segment.let_go()
    open_file = OpenFile.open

    def too_late(path: Path, flags: int = os.O_RDONLY) -> OpenFile:
        monkeypatch.undo()
        logs.delete_topic(TOPIC)
        log_in(logs).append(batch(b"new"))
        return open_file(path, flags)

    monkeypatch.setattr(OpenFile, "open", too_late)
    with pytest.raises(UnknownTopicOrPartition):
        log.read(0, 1000)
    (record,) = read_all(log_in(logs))
    assert record.value == b"new"


@pytest.mark.usefixtures("no_fsync")
def test_a_compaction_leaves_nothing_to_a_new_topic_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compaction is about to put its segment in place when the topic is deleted and made anew: a
    `.swap` file there would be finished at the next start.
    """
    logs = open_logs(tmp_path, segment_bytes="300", cleanup_policy="compact")
    log = log_in(logs)
    for number in range(12):
        log.append(batch(b"old", keys=(b"key %d" % (number % 2),)))
    log.flush()
    rewrite = compaction._Cleaning.rewrite

    def then_deleted(self: Any, group: Any) -> Any:
        monkeypatch.undo()
        logs.delete_topic(TOPIC)
        for number in range(4):
            log_in(logs).append(batch(b"%03d" % number, keys=(b"key 0",)))
        return rewrite(self, group)

    monkeypatch.setattr(compaction._Cleaning, "rewrite", then_deleted)
    with pytest.raises(UnknownTopicOrPartition):
        compaction.compact(log, NOW_MS)
    kill(logs)
    logs = open_logs(tmp_path)
    values = [record.value for record in read_all(logs.find(TOPIC, 0))]
    assert values == [b"%03d" % number for number in range(4)]
