"""Topics, several log.dirs, what survives a restart, and what is refused alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.log.making import NOW_MS, TOPIC, Clock, batch, kill, log_in, open_logs, read_all
from zerocopy_lab.errors import (
    InvalidConfig,
    InvalidPartitions,
    InvalidTopic,
    KafkaError,
    KafkaStorageError,
    OffsetOutOfRange,
    TopicAlreadyExists,
    UnknownTopicOrPartition,
)
from zerocopy_lab.log import TopicSettings
from zerocopy_lab.log.file_names import segment_file
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.log.startup.log_directory import CLEAN_SHUTDOWN_FILE


def where(logs: LogDirectories) -> dict[str, list[str]]:
    """The partitions of each directory."""
    found: dict[str, list[str]] = {}
    for log in logs.logs():
        found.setdefault(log.directory.parent.name, []).append(log.directory.name)
    return {name: sorted(partitions) for name, partitions in found.items()}


@pytest.mark.parametrize("end", ["close", "kill"])
def test_topics_survive(tmp_path: Path, end: str) -> None:
    logs = open_logs(tmp_path)
    made = logs.create_topic("a.b_c-d", 3, {"segment.bytes": "1024"})
    logs.create_topic("gone", 1)
    logs.delete_topic("gone")
    logs.add_partitions("a.b_c-d", 4)
    logs.alter_settings("a.b_c-d", {"retention.ms": "5"})
    logs.find("a.b_c-d", 3).append(batch(b"there"))
    cluster_id = logs.cluster_id
    logs.close() if end == "close" else kill(logs)
    logs = open_logs(tmp_path)
    assert list(logs.topics()) == ["a.b_c-d"]
    info = logs.topics()["a.b_c-d"]
    assert (info.topic_id, info.partitions) == (made.topic_id, 4)
    assert info.settings.overrides == {"retention.ms": "5"}
    assert (info.settings.retention_ms, info.settings.segment_bytes) == (5, 1 << 30)
    assert logs.find("a.b_c-d", 3).settings.retention_ms == 5
    assert [record.value for record in read_all(logs.find("a.b_c-d", 3))] == [b"there"]
    assert logs.partitions_of("a.b_c-d") == [0, 1, 2, 3]
    assert logs.cluster_id == cluster_id
    assert logs.get("a.b_c-d", 4) is None


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (lambda logs: logs.create_topic("../x", 1), InvalidTopic),
        (lambda logs: logs.create_topic("x", 0), InvalidPartitions),
        (lambda logs: logs.create_topic("x", 1, {"segment.bytes": "1"}), InvalidConfig),
        (lambda logs: logs.create_topic(TOPIC, 1), TopicAlreadyExists),
        (lambda logs: logs.add_partitions(TOPIC, 1), InvalidPartitions),
        (lambda logs: logs.add_partitions("x", 2), UnknownTopicOrPartition),
        (lambda logs: logs.alter_settings(TOPIC, {"x": "1"}), InvalidConfig),
        (lambda logs: logs.delete_topic("x"), UnknownTopicOrPartition),
        (lambda logs: logs.find("x", 0), UnknownTopicOrPartition),
        (lambda logs: logs.find(TOPIC, 1), UnknownTopicOrPartition),
    ],
)
def test_illegal_wishes_change_nothing(
    tmp_path: Path, action: Callable[[LogDirectories], Any], error: type[KafkaError]
) -> None:
    logs = open_logs(tmp_path)
    log_in(logs)
    before = sorted(os.listdir(tmp_path)), (tmp_path / "topics.json").read_text()
    with pytest.raises(error):
        action(logs)
    assert (sorted(os.listdir(tmp_path)), (tmp_path / "topics.json").read_text()) == before


def test_a_deleted_topic_is_gone_at_once_and_its_files_later(tmp_path: Path) -> None:
    clock = Clock()
    logs = open_logs(tmp_path, clock=clock, file_delete_delay_ms="1000")
    log = log_in(logs)
    log.append(batch(b"old"))
    log.flush()
    logs.housekeeping(NOW_MS + 60_000)
    piece = log.read(0, 1000)
    assert piece is not None
    logs.delete_topic(TOPIC)
    with pytest.raises(UnknownTopicOrPartition):
        log.append(batch())
    with pytest.raises(UnknownTopicOrPartition):
        log.read(0, 1000)
    assert len(os.pread(piece.file.fd, piece.length, piece.position)) == piece.length
    new = log_in(logs)  # the same name, another topic
    assert new.topic_id != log.topic_id
    assert new.append(batch(b"new")).base_offset == 0
    assert [
        name.endswith("-delete") for name in os.listdir(tmp_path) if name.startswith(TOPIC)
    ].count(True) == 1
    logs.housekeeping(NOW_MS + 61_000)
    assert not [name for name in os.listdir(tmp_path) if name.endswith("-delete")]
    kill(logs)
    # The checkpoints of the old topic must not vouch for the new one's records.
    path = tmp_path / f"{TOPIC}-0" / segment_file(0, ".log")
    path.write_bytes(path.read_bytes()[:-1])
    assert open_logs(tmp_path).find(TOPIC, 0).log_end_offset == 0


def test_partitions_go_where_the_fewest_are(tmp_path: Path) -> None:
    disks = [tmp_path / name for name in ("disk1", "disk2", "disk3")]
    logs = open_logs(*disks)
    logs.create_topic("a", 4)
    logs.create_topic("b", 3)
    assert where(logs) == {
        "disk1": ["a-0", "a-3", "b-2"],
        "disk2": ["a-1", "b-0"],
        "disk3": ["a-2", "b-1"],
    }
    for log in logs.logs():
        log.append(batch(log.directory.name.encode()))
    logs.close()
    logs = open_logs(*reversed(disks))
    assert len(logs.logs()) == 7
    for log in logs.logs():
        assert read_all(log)[0].value == log.directory.name.encode()


def test_a_second_broker_is_kept_out(tmp_path: Path) -> None:
    logs = open_logs(tmp_path / "disk1")
    with pytest.raises(KafkaStorageError, match=r"disk1 is in use.*\.lock"):
        open_logs(tmp_path / "disk1")
    other = open_logs(tmp_path / "disk1", tmp_path / "disk2")
    assert list(other.offline) == [tmp_path / "disk1"]
    kill(other)
    disk = str(tmp_path / "disk1")
    code = f"""if True:
        from pathlib import Path
        from zerocopy_lab.log.startup.log_directories import LogDirectories
        LogDirectories.open([Path({disk!r})])"""
    failed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "is in use" in failed.stderr
    logs.close()
    open_logs(tmp_path / "disk1").close()


def test_a_directory_of_another_cluster_or_node(tmp_path: Path) -> None:
    open_logs(tmp_path / "ours").close()
    open_logs(tmp_path / "theirs").close()
    logs = open_logs(tmp_path / "ours", tmp_path / "theirs")
    assert "belongs to the cluster" in logs.offline[tmp_path / "theirs"]
    kill(logs)
    with pytest.raises(KafkaStorageError, match="belongs to the node 0, this is 7"):
        LogDirectories.open([tmp_path / "ours"], node_id=7)


def test_a_directory_that_fails_goes_offline_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disks = [tmp_path / "disk1", tmp_path / "disk2"]
    logs = open_logs(*disks)
    logs.create_topic(TOPIC, 4)
    for log in logs.logs():
        log.append(batch(b"before"))
    pwrite = os.pwrite

    def broken(fd: int, content: bytes, position: int) -> int:
        if str(disks[0]) in os.readlink(f"/proc/self/fd/{fd}"):
            raise OSError(5, "Input/output error")
        return pwrite(fd, content, position)

    monkeypatch.setattr(os, "pwrite", broken)
    with pytest.raises(KafkaStorageError, match="Input/output error"):
        logs.find(TOPIC, 0).append(batch())
    assert list(logs.offline) == [disks[0]]
    for partition in (0, 2):
        with pytest.raises(KafkaStorageError, match=f"{disks[0]} is offline"):
            logs.find(TOPIC, partition).read(0, 1000)
    for partition in (1, 3):
        logs.find(TOPIC, partition).append(batch(b"after"))
    logs.create_topic("new", 2)
    assert where(logs)["disk2"] == ["flights-1", "flights-3", "new-0", "new-1"]
    logs.housekeeping(NOW_MS)
    logs.close()
    assert not (disks[0] / CLEAN_SHUTDOWN_FILE).exists()
    assert (disks[1] / CLEAN_SHUTDOWN_FILE).exists()
    monkeypatch.undo()
    logs = open_logs(*disks)
    counts = [len(read_all(logs.find(TOPIC, partition))) for partition in range(4)]
    assert counts == [1, 2, 1, 2]


def test_partitions_of_a_missing_directory_are_not_made_anew(tmp_path: Path) -> None:
    disks = [tmp_path / "disk1", tmp_path / "disk2"]
    logs = open_logs(*disks)
    logs.create_topic(TOPIC, 2)
    logs.close()
    (disks[0] / "meta.properties").write_text("nonsense")
    logs = open_logs(*disks)
    assert "meta.properties" in logs.offline[disks[0]]
    with pytest.raises(KafkaStorageError, match="may be in"):
        logs.find(TOPIC, 0)
    assert logs.find(TOPIC, 1).log_end_offset == 0
    assert not (disks[1] / f"{TOPIC}-0").exists()


def damaged(directory: Path) -> None:
    """Two topics: what is done to the first must not concern the second."""
    logs = open_logs(directory, segment_bytes="350")
    for topic in (TOPIC, "other"):
        logs.create_topic(topic, 1, {"retention.ms": "-1"})
        for number in range(6):
            logs.find(topic, 0).append(batch(b"%d" % number * 100))
    logs.close()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("recovery-point-offset-checkpoint", b"garbage"),
        ("log-start-offset-checkpoint", f"0\n1\n{TOPIC} 0 999\n".encode()),
        ("log-start-offset-checkpoint", b"\xff"),
        ("replication-offset-checkpoint", b""),
        ("cleaner-offset-checkpoint", b"0\n"),
        (CLEAN_SHUTDOWN_FILE, b"{"),
        (CLEAN_SHUTDOWN_FILE, b""),
        ("topics.json", b"{}"),
        ("topics.json", b'{"revision": "x"}'),
        ("topics.json", b"\xff" * 9),
        (f"{TOPIC}-0/leader-epoch-checkpoint", b"0\n9\n"),
        (f"{TOPIC}-0/stranger.txt", b"what is this"),
        ("stranger", b"what is this"),
        (f"{TOPIC}-0/{segment_file(900, '.index')}", b"an index without a log"),
        (f"{TOPIC}-0/{segment_file(0, '.log')}.swap.tmp", b"?"),
    ],
)
def test_damage_that_costs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, content: bytes
) -> None:
    damaged(tmp_path)
    (tmp_path / name).write_bytes(content)
    logs = open_logs(tmp_path, segment_bytes="350")
    assert (dict(logs.offline), dict(logs.refused)) == ({}, {})
    for topic in (TOPIC, "other"):
        values = [record.value for record in read_all(logs.find(topic, 0))]
        assert values == [b"%d" % number * 100 for number in range(6)]
    if name != "stranger" and not name.endswith(".tmp") and content:
        assert name.rpartition("/")[2] in caplog.text  # said what was found where


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / segment_file(2, ".log")).unlink(), "offsets 2 to 3 are missing"),
        (lambda p: (p / segment_file(0, ".log")).write_bytes(b""), "offsets 0 to 1 are missing"),
        (
            lambda p: (p / segment_file(3, ".log")).write_bytes(
                (p / segment_file(2, ".log")).read_bytes()
            ),
            "there twice",
        ),
        (lambda p: (p / "partition.metadata").write_text("nonsense"), "partition.metadata"),
        (
            lambda p: (p / "partition.metadata").write_text(
                "version: 0\ntopic_id: Wn3cX2GXRkyw4sS0m4W1ZQ"
            ),
            "older topic of the same name",
        ),
        (lambda p: os.truncate(p / segment_file(4, ".log"), 100), "at position 0: a batch of"),
    ],
)
def test_damage_that_is_refused_for_one_partition(
    tmp_path: Path, damage: Callable[[Path], Any], message: str
) -> None:
    damaged(tmp_path)
    partition = tmp_path / f"{TOPIC}-0"
    damage(partition)
    before = {path.name: path.read_bytes() for path in partition.glob("*.log")}
    logs = open_logs(tmp_path, segment_bytes="350")
    with pytest.raises(KafkaStorageError, match=message):
        logs.find(TOPIC, 0)
    assert TOPIC in logs.topics()
    assert {path.name: path.read_bytes() for path in partition.glob("*.log")} == before
    assert len(read_all(logs.find("other", 0))) == 6
    logs.housekeeping(NOW_MS + 60_000)
    logs.close()
    assert f"{TOPIC} 0" in (tmp_path / "recovery-point-offset-checkpoint").read_text()
    # Whoever repairs it wants it checked: not everything in this directory was in order.
    assert not (tmp_path / CLEAN_SHUTDOWN_FILE).exists()


def test_a_stray_directory_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    damaged(tmp_path)
    (tmp_path / "lost+found" / "inner").mkdir(parents=True)
    logs = open_logs(tmp_path)
    assert f"{tmp_path / 'lost+found'} is no partition's directory" in caplog.text
    assert sorted(logs.topics()) == ["flights", "other"]
    logs.close()
    assert (tmp_path / "lost+found" / "inner").is_dir()


def test_lost_settings_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    damaged(tmp_path)
    (tmp_path / "topics.json").write_text("{")
    logs = open_logs(tmp_path)
    assert f"{tmp_path / 'topics.json'} cannot be used" in caplog.text
    assert sorted(logs.topics()) == ["flights", "other"]
    assert logs.topics()[TOPIC].settings.overrides == {}


def test_topics_json_of_the_directory_that_was_written_last(tmp_path: Path) -> None:
    disks = [tmp_path / "disk1", tmp_path / "disk2"]
    logs = open_logs(*disks)
    logs.create_topic(TOPIC, 2)
    older = (disks[1] / "topics.json").read_bytes()
    logs.create_topic("later", 2)
    logs.close()
    (disks[1] / "topics.json").write_bytes(older)
    assert sorted(open_logs(*disks).topics()) == ["flights", "later"]
    assert json.loads(older)["revision"] == 1


def test_a_directory_that_kafka_wrote(tmp_path: Path) -> None:
    """No topics.json, a marker with a broker epoch, KRaft's own log beside the partitions."""
    damaged(tmp_path)
    (tmp_path / "topics.json").unlink()
    (tmp_path / CLEAN_SHUTDOWN_FILE).write_text('{"version":0,"brokerEpoch":9}')
    raft = tmp_path / "__cluster_metadata-0"
    raft.mkdir()
    (raft / "00000000000000000000-0000000000.checkpoint").write_bytes(b"a snapshot of KRaft's")
    logs = open_logs(tmp_path)
    assert sorted(logs.topics()) == ["flights", "other"]
    assert os.listdir(raft) == ["00000000000000000000-0000000000.checkpoint"]
    assert len(read_all(logs.find(TOPIC, 0))) == 6


def test_open_files_are_bounded(tmp_path: Path) -> None:
    limit = 20
    logs = LogDirectories.open(
        [tmp_path],
        TopicSettings.from_kafka({"segment.bytes": "200"}),
        max_open_files=limit,
        clock_ms=Clock(),
    )
    logs.create_topic(TOPIC, 12)
    for number in range(5):
        for partition in range(12):
            logs.find(TOPIC, partition).append(batch(b"%d" % number * 100))
            assert logs.open_files.count() <= limit
    for partition in range(12):
        values = [record.value for record in read_all(logs.find(TOPIC, partition))]
        assert values == [b"%d" % number * 100 for number in range(5)]
        assert logs.open_files.count() <= limit
    logs.housekeeping(NOW_MS + 30_000)
    logs.housekeeping(NOW_MS + 60_000)
    assert logs.open_files.count() == 0


def test_a_topic_is_deleted_while_it_is_written_read_and_looked_after(tmp_path: Path) -> None:
    logs = open_logs(tmp_path, segment_bytes="300", retention_bytes="900", file_delete_delay_ms="0")
    failures: list[BaseException] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                log = logs.find(TOPIC, 0)
                log.append(batch(b"x" * 100))
                log.read(log.log_start_offset, 1000)
                log.flush()
            except (UnknownTopicOrPartition, OffsetOutOfRange):
                continue
            except BaseException as error:
                failures.append(error)
                return

    def look_after() -> None:
        while not stop.is_set():
            logs.housekeeping(NOW_MS)

    threads = [threading.Thread(target=work) for _ in range(2)]
    threads.append(threading.Thread(target=look_after))
    for thread in threads:
        thread.start()
    for _ in range(60):
        logs.create_topic(TOPIC, 1)
        deadline = logs.find(TOPIC, 0).log_end_offset + 3
        while logs.find(TOPIC, 0).log_end_offset < deadline and not failures:
            stop.wait(0.001)
        logs.delete_topic(TOPIC)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert logs.offline == {}
