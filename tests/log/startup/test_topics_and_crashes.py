"""A change of the topics is written down first, then carried out; a start carries out the rest."""

from __future__ import annotations

import builtins
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.log.making import TOPIC, batch, kill, log_in, open_logs, read_all
from tests.log.power_off import PowerOff, before_operation
from zerocopy_lab.errors import (
    CoordinatorNotAvailable,
    InvalidTopic,
    KafkaStorageError,
    TopicAlreadyExists,
    UnknownTopicId,
    UnknownTopicOrPartition,
)
from zerocopy_lab.log.startup.log_directories import LogDirectories

COMPACTED = {"cleanup.policy": "compact", "segment.bytes": "123456"}
Change = Callable[[LogDirectories], object]
State = tuple[int, dict[str, str]] | None  # partitions and settings


def _state(logs: LogDirectories) -> State:
    info = logs.topics().get(TOPIC)
    return None if info is None else (info.partitions, dict(info.settings.overrides))


@pytest.mark.parametrize(
    ("prepare", "change", "before", "after"),
    [
        (
            lambda logs: None,
            lambda logs: logs.create_topic(TOPIC, 4, COMPACTED),
            None,
            (4, COMPACTED),
        ),
        (
            lambda logs: logs.create_topic(TOPIC, 1, COMPACTED),
            lambda logs: logs.add_partitions(TOPIC, 4),
            (1, COMPACTED),
            (4, COMPACTED),
        ),
        (
            lambda logs: logs.create_topic(TOPIC, 2, COMPACTED),
            lambda logs: logs.alter_settings(TOPIC, {"retention.ms": "5"}),
            (2, COMPACTED),
            (2, {"retention.ms": "5"}),
        ),
    ],
    ids=["create", "extend", "alter"],
)
@pytest.mark.usefixtures("no_fsync")
def test_a_crash_at_any_file_operation_leaves_a_topic_as_it_was_or_as_it_was_wanted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Change,
    change: Change,
    before: State,
    after: State,
) -> None:
    states: list[State] = []
    crashed = True
    while crashed:
        disks = [tmp_path / name for name in ("disk1", "disk2")]
        logs = open_logs(*disks)
        prepare(logs)
        counted = before_operation(len(states))
        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", counted(Path.rename))
            patched.setattr(Path, "mkdir", counted(Path.mkdir))
            patched.setattr(os, "replace", counted(os.replace))
            patched.setattr(os, "open", counted(os.open))
            try:
                change(logs)
                crashed = False
            except PowerOff:
                pass
        kill(logs)
        logs = open_logs(*disks)
        states.append(_state(logs))
        assert states[-1] in (before, after)
        for partition in logs.partitions_of(TOPIC):
            log = logs.find(TOPIC, partition)
            assert dict(log.settings.overrides) == dict(logs.topics()[TOPIC].settings.overrides)
            assert (log.directory / "partition.metadata").exists()
            log.append(batch(keys=(b"k",)))
        if states[-1] == before:
            change(logs)  # the client's retry
        assert _state(logs) == after
        kill(logs)
        for disk in disks:
            shutil.rmtree(disk)
    assert (states[0], states[-1]) == (before, after)
    assert states == sorted(states, key=[before, after].index), "one moment decides"


def test_what_was_made_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file its bytes, of a directory its names: what is there when a topic is acknowledged was
    there when it was last forced to disk.
    """
    on_disk: dict[int, object] = {}  # by inode

    def seen(fd: int) -> object:
        path = Path(f"/proc/self/fd/{fd}")  # it may be open for writing only
        return sorted(os.listdir(path)) if path.is_dir() else path.read_bytes()

    def fsync(fd: int) -> None:
        on_disk[os.fstat(fd).st_ino] = seen(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    disks = [tmp_path / name for name in ("disk1", "disk2")]
    logs = open_logs(*disks)
    for change in (
        lambda: logs.create_topic(TOPIC, 3),
        lambda: logs.add_partitions(TOPIC, 7),
        lambda: logs.create_topic("other", 2),
    ):
        change()
        made = [log.directory for log in logs.logs()]
        named = [file for path in (*disks, *made) for file in (path, *path.glob("*.json"))]
        for path in (*named, *(path / "partition.metadata" for path in made)):
            fd = os.open(path, os.O_RDONLY)
            assert on_disk.get(os.fstat(fd).st_ino) == seen(fd), path
            os.close(fd)
    kill(logs)


def test_a_crash_before_partition_metadata_does_not_cost_the_topic_its_identity(
    tmp_path: Path,
) -> None:
    """Without an id of its own the directory would come back when the topic is deleted."""
    logs = open_logs(tmp_path)
    log_in(logs)
    kill(logs)
    (tmp_path / f"{TOPIC}-0" / "partition.metadata").unlink()
    logs = open_logs(tmp_path)
    topic_id = logs.topics()[TOPIC].topic_id
    kill(logs)
    registry = json.loads((tmp_path / "topics.json").read_text())
    registry["deleting"] = [registry["topics"].pop(TOPIC)["id"]]
    (tmp_path / "topics.json").write_text(json.dumps(registry))  # killed while it was deleted
    logs = open_logs(tmp_path)
    assert dict(logs.topics()) == {}
    with pytest.raises(UnknownTopicId):
        logs.name_of(topic_id)


def test_a_deletion_is_not_over_until_the_topic_is_forgotten(tmp_path: Path) -> None:
    logs = open_logs(tmp_path)
    log_in(logs)

    def fails(topic: str) -> None:
        raise CoordinatorNotAvailable("the groups' log is full")

    with pytest.raises(CoordinatorNotAvailable):
        logs.delete_topic(TOPIC, fails)
    assert TOPIC not in logs.topics()
    with pytest.raises(TopicAlreadyExists, match="still being deleted"):
        logs.create_topic(TOPIC, 1)
    kill(logs)
    logs = open_logs(tmp_path)
    logs.finish_deletions(fails)
    with pytest.raises(TopicAlreadyExists):
        logs.create_topic(TOPIC, 1)
    forgotten: list[str] = []
    logs.delete_topic(TOPIC, forgotten.append)  # the client tries again
    assert forgotten == [TOPIC]
    logs.create_topic(TOPIC, 1)
    logs.delete_topic(TOPIC, forgotten.append)
    kill(logs)
    logs = open_logs(tmp_path)
    logs.finish_deletions(forgotten.append)
    assert forgotten == [TOPIC, TOPIC], "nothing was left to finish"
    with pytest.raises(UnknownTopicOrPartition):
        logs.delete_topic(TOPIC, forgotten.append)


def test_a_setting_that_is_not_legal_costs_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logs = open_logs(tmp_path)
    logs.create_topic(TOPIC, 2, COMPACTED)
    logs.create_topic("other", 1, COMPACTED)
    kill(logs)
    path = tmp_path / "topics.json"
    registry = json.loads(path.read_text())
    registry["topics"][TOPIC]["overrides"]["from.the.future"] = "1"
    path.write_text(json.dumps(registry))
    logs = open_logs(tmp_path)
    assert "from.the.future" in caplog.text
    assert _state(logs) == (2, COMPACTED)
    assert dict(logs.topics()["other"].settings.overrides) == COMPACTED


def test_kraft_s_own_log_is_no_topic(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logs = open_logs(tmp_path)
    with pytest.raises(InvalidTopic):
        logs.create_topic("__cluster_metadata", 1)
    log_in(logs)
    logs.close()
    path = tmp_path / "topics.json"
    registry = json.loads(path.read_text())
    registry["topics"]["__cluster_metadata"] = registry["topics"][TOPIC]  # an older release's
    path.write_text(json.dumps(registry))
    (tmp_path / "__cluster_metadata-0").mkdir()
    logs = open_logs(tmp_path)
    assert log_in(logs).append(batch()).base_offset == 0
    with pytest.raises(KafkaStorageError, match="File exists"):
        logs.find("__cluster_metadata", 0)


# What others leave in the directory


def test_a_partition_that_is_a_link_is_served_and_deleted_with_what_it_points_to(
    tmp_path: Path,
) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    logs = open_logs(data, file_delete_delay_ms="0")
    log_in(logs).append(batch(b"moved"))
    logs.close()
    (data / f"{TOPIC}-0").rename(elsewhere)
    (data / f"{TOPIC}-0").symlink_to(elsewhere)
    logs = open_logs(data, file_delete_delay_ms="0")
    assert [record.value for record in read_all(logs.find(TOPIC, 0))] == [b"moved"]
    logs.delete_topic(TOPIC)
    logs.housekeeping(1 << 45)
    assert not elsewhere.exists()
    assert not [name for name in os.listdir(data) if TOPIC in name]
    assert logs.offline == {}
    logs.close()


def test_what_was_removed_by_hand_is_gone(tmp_path: Path) -> None:
    logs = open_logs(tmp_path, file_delete_delay_ms="0")
    log_in(logs)
    logs.create_topic("other", 1)
    logs.delete_topic(TOPIC)
    (aside,) = tmp_path.glob("*-delete")
    shutil.rmtree(aside)
    shutil.rmtree(tmp_path / "other-0")
    logs.delete_topic("other")
    logs.housekeeping(1 << 45)
    assert logs.offline == {}
    logs.create_topic("other", 1)
    logs.close()


def test_strangers_cost_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logs = open_logs(tmp_path)
    log_in(logs).append(batch(b"there"))
    logs.close()
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "nowhere-0").symlink_to("missing")
    (tmp_path / "please-do-not-delete").mkdir()
    (tmp_path / f"{TOPIC}-0.{'0' * 32}-delete").symlink_to("missing")
    (tmp_path / "far-4000000000").mkdir()
    (tmp_path / "round-0").symlink_to("round-0")
    (tmp_path / f"{TOPIC}-x").write_text("a file")
    logs = open_logs(tmp_path)
    assert dict(logs.offline) == {}
    assert list(logs.topics()) == [TOPIC]
    assert [record.value for record in read_all(logs.find(TOPIC, 0))] == [b"there"]
    assert (tmp_path / "please-do-not-delete").is_dir()
    assert not (tmp_path / f"{TOPIC}-0.{'0' * 32}-delete").is_symlink()
    for stranger in ("circle", "please-do-not-delete", "far-4000000000", "round-0"):
        assert stranger in caplog.text
    logs.close()


def test_a_partition_that_cannot_be_read_is_refused_alone(tmp_path: Path) -> None:
    logs = open_logs(tmp_path)
    logs.create_topic(TOPIC, 3)
    logs.find(TOPIC, 2).append(batch(b"there"))
    logs.close()
    metadata = tmp_path / f"{TOPIC}-0" / "partition.metadata"
    metadata.unlink()
    metadata.mkdir()  # read(2) fails for everybody, for root too
    shutil.rmtree(tmp_path / f"{TOPIC}-1")
    (tmp_path / f"{TOPIC}-1").write_text("a file in its place")
    logs = open_logs(tmp_path)
    assert dict(logs.offline) == {}
    for partition, why in ((0, "Is a directory"), (1, "File exists")):
        with pytest.raises(KafkaStorageError, match=why):
            logs.find(TOPIC, partition)
    assert read_all(logs.find(TOPIC, 2))[0].value == b"there"
    logs.delete_topic(TOPIC)  # what was refused goes, too
    assert not (tmp_path / f"{TOPIC}-0").exists()
    logs.close()


def test_no_directory_is_special_when_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disks = [tmp_path / "disk1", tmp_path / "disk2"]
    logs = open_logs(*disks)
    logs.create_topic("before", 2)
    replace = os.replace

    def broken(source: Path, target: Path) -> None:
        if disks[0] in Path(target).parents:
            raise OSError(30, "Read-only file system")
        replace(source, target)

    monkeypatch.setattr(os, "replace", broken)
    logs.create_topic("after", 2, COMPACTED)
    assert list(logs.offline) == [disks[0]]
    assert {log.directory.parent for log in logs.logs()} == {disks[1]}
    with pytest.raises(KafkaStorageError, match=r"disk1 is offline: .*Read-only"):
        logs.find("before", 0)
    caplog.clear()
    for second in range(3):
        logs.housekeeping(second * 1000)
    assert caplog.text == "", "it was said once"
    logs.delete_topic("after")
    logs.close()
    monkeypatch.undo()
    assert sorted(open_logs(*disks).topics()) == ["before"]


@pytest.mark.parametrize("number", [23, 28, 12])  # ENFILE, ENOSPC, ENOMEM: they pass
@pytest.mark.parametrize("operation", ["rename", "mkdir", "replace", "open"])
@pytest.mark.usefixtures("no_fsync")
def test_what_was_refused_is_not_there_and_what_was_deleted_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, number: int
) -> None:
    """While file operations fail, from any one of them on, for a reason that passes."""
    owner = os if operation in ("replace", "open") else Path
    works, opens = getattr(owner, operation), builtins.open
    for first in range(40 if operation == "open" else 6):
        disk = tmp_path / str(first)
        logs = open_logs(disk)
        logs.create_topic("goes", 3, COMPACTED)
        count = 0

        def fails(
            *arguments: object,
            first: int = first,
            works: Callable[..., object] = works,
            **named: object,
        ) -> object:
            nonlocal count
            count += 1
            if count > first:
                raise OSError(number, os.strerror(number))
            return works(*arguments, **named)

        with monkeypatch.context() as patched:
            patched.setattr(owner, operation, fails)
            if operation == "open":
                patched.setattr(builtins, "open", partial(fails, works=opens))
            outcomes = {}
            for name, change in (
                ("comes", lambda logs=logs: logs.create_topic("comes", 3, COMPACTED)),
                ("goes", lambda logs=logs: logs.delete_topic("goes")),
            ):
                try:
                    change()
                    outcomes[name] = True
                except KafkaStorageError:
                    outcomes[name] = False
        assert dict(logs.offline) == {}
        expected = sorted(
            (["comes"] if outcomes["comes"] else []) + ([] if outcomes["goes"] else ["goes"])
        )
        assert sorted(logs.topics()) == expected
        logs.housekeeping(1 << 45)
        kill(logs)
        logs = open_logs(disk)
        assert sorted(logs.topics()) == expected
        for name in ("comes", "goes"):
            if name not in expected:
                logs.create_topic(name, 4, COMPACTED)
            logs.find(name, 0).append(batch(keys=(b"k",)))
        kill(logs)


def test_a_name_is_free_although_its_directory_could_not_be_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = open_logs(tmp_path)
    log_in(logs).append(batch(b"old"))
    with monkeypatch.context() as patched:

        def no_memory(*_: object) -> None:
            raise OSError(12, "Cannot allocate memory")

        patched.setattr(Path, "rename", no_memory)
        logs.delete_topic(TOPIC)
    assert (tmp_path / f"{TOPIC}-0").is_dir()
    assert log_in(logs).append(batch(b"new")).base_offset == 0
    logs.close()
    (record,) = read_all(log_in(open_logs(tmp_path)))
    assert record.value == b"new"


def test_what_could_not_be_listed_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a start without descriptors would make all partitions anew, and empty."""
    disks = [tmp_path / "disk1", tmp_path / "disk2"]
    logs = open_logs(*disks)
    logs.create_topic(TOPIC, 2)
    for log in logs.logs():
        log.append(batch(b"there"))
    logs.close()
    scandir = os.scandir

    def out_of_descriptors(path: Path) -> object:
        if path == disks[0]:
            raise OSError(24, "Too many open files")
        return scandir(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", out_of_descriptors)
        logs = open_logs(*disks)
    assert list(logs.offline) == [disks[0]]
    with pytest.raises(KafkaStorageError):
        logs.find(TOPIC, 0)
    logs.close()
    logs = open_logs(*disks)
    for partition in (0, 1):
        assert read_all(logs.find(TOPIC, partition))[0].value == b"there"


def test_topics_that_cannot_be_read_now_are_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start without descriptors must not take the partitions for strangers', write that down, and
    forget what was set.
    """
    disks = [tmp_path / "disk1", tmp_path / "disk2"]
    logs = open_logs(*disks)
    logs.create_topic(TOPIC, 4, COMPACTED)
    logs.close()
    read_bytes = Path.read_bytes

    def out_of_descriptors(path: Path) -> bytes:
        if path.name == "topics.json" and path.parent in unreadable:
            raise OSError(24, "Too many open files")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", out_of_descriptors)
    for unreadable in (disks[:1], disks):
        try:
            logs = open_logs(*disks)
        except KafkaStorageError:
            assert unreadable == disks
        else:
            assert list(logs.offline) == unreadable
            assert _state(logs) == (4, COMPACTED)
            logs.close()
    unreadable = []
    assert _state(open_logs(*disks)) == (4, COMPACTED)
