"""A producer id is never given twice, whatever became of the files and the directories."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from tests.log.making import TOPIC, batch, kill, open_logs
from zerocopy_lab.broker.admin import producer_ids
from zerocopy_lab.broker.admin.producer_ids import BLOCK, FILE, ProducerIds
from zerocopy_lab.errors import KafkaStorageError
from zerocopy_lab.log import atomic_file
from zerocopy_lab.log.startup.log_directories import LogDirectories


def take_one(*directories: Path) -> int:
    """The first id of a broker's life."""
    logs = open_logs(*directories)
    producer_id = ProducerIds(logs).take()
    logs.close()
    return producer_id


def logs_that_know(directory: Path, *ids: int) -> LogDirectories:
    logs = open_logs(directory)
    if TOPIC not in logs.topics():
        logs.create_topic(TOPIC, 1)
    for producer_id in ids:
        logs.find(TOPIC, 0).append(batch(producer_id=producer_id))
    return logs


def test_blocks_are_recorded_before_they_are_used(tmp_path: Path) -> None:
    logs = open_logs(tmp_path)
    ids = ProducerIds(logs)
    given = [ids.take() for _ in range(BLOCK + 1)]
    assert given == list(range(BLOCK + 1))
    assert (tmp_path / FILE).read_text() == f"{2 * BLOCK}\n"
    kill(logs)
    assert take_one(tmp_path) == 2 * BLOCK


def test_any_order_of_the_directories_and_one_of_them_alone(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    given = [take_one(first, second), take_one(second, first), take_one(second)]
    given.append(take_one(first, second))
    assert given == [0, BLOCK, 2 * BLOCK, 3 * BLOCK]


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"0\n"])
@pytest.mark.parametrize("is_clean", [True, False])
def test_ids_that_a_log_knows_are_not_given(
    tmp_path: Path, content: bytes | None, is_clean: bool
) -> None:
    logs = logs_that_know(tmp_path, 4711, 42)
    logs.close() if is_clean else kill(logs)
    assert not (tmp_path / FILE).exists()
    if content is not None:
        (tmp_path / FILE).write_bytes(content)
    assert take_one(tmp_path) == 4712


def test_batches_of_forgotten_producers_count_when_the_file_is_missing(tmp_path: Path) -> None:
    logs = logs_that_know(tmp_path, 4711, 42)
    del logs.find(TOPIC, 0)._producers.producers[4711]  # after a day without a batch
    logs.close()
    assert take_one(tmp_path) == 4712
    (tmp_path / FILE).unlink()
    assert take_one(tmp_path) == 4712  # (that one was never used)


def test_a_replaced_disk(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    logs = open_logs(first, second)
    logs.create_topic(TOPIC, 2)
    ids = ProducerIds(logs)
    given = [ids.take() for _ in range(3)]
    logs.find(TOPIC, 1).append(batch(producer_id=given[-1]))
    kill(logs)
    shutil.rmtree(first)
    assert take_one(first, second) not in given


def test_an_id_that_a_client_made_up_does_not_use_up_the_others(tmp_path: Path) -> None:
    logs = logs_that_know(tmp_path, (1 << 63) - 1, 7)
    assert ProducerIds(logs).take() == 8
    logs.close()
    assert take_one(tmp_path) == BLOCK + 8


def test_a_new_block_begins_behind_what_clients_made_up_meanwhile(tmp_path: Path) -> None:
    logs = logs_that_know(tmp_path)
    ids = ProducerIds(logs)
    ids.take()
    logs.find(TOPIC, 0).append(batch(producer_id=BLOCK + 500))
    assert [ids.take() for _ in range(BLOCK)][-1] == BLOCK + 501
    kill(logs)


def test_no_directory_is_special(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    logs = open_logs(first, second)
    ids = ProducerIds(logs)
    really = atomic_file.replace_file

    def replace_file(path: Path, content: bytes) -> None:
        if path.parent == first:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        really(path, content)

    monkeypatch.setattr(producer_ids, "replace_file", replace_file)
    assert ids.take() == 0
    assert (list(logs.offline), logs.directories) == ([first], (second,))
    assert ids.take() == BLOCK  # the directories are others now, so are the ids
    logs.failed(second, OSError(errno.EIO, "gone, too"))
    with pytest.raises(KafkaStorageError, match="every log directory is offline"):
        ids.take()
    logs.close()


def test_the_first_directory_unusable_at_the_start(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.write_bytes(b"no directory")
    assert [take_one(first, second), take_one(first, second)] == [0, BLOCK]


def test_a_full_disk_gives_no_id_and_stays_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = open_logs(tmp_path)
    ids = ProducerIds(logs)

    def replace_file(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(producer_ids, "replace_file", replace_file)
        with pytest.raises(KafkaStorageError, match="No space left"):
            ids.take()
    assert logs.offline == {}
    assert ids.take() == 0
    logs.close()


@pytest.mark.parametrize(
    ("number", "goes_offline"), [(errno.EMFILE, False), (errno.ENOMEM, False), (errno.EIO, True)]
)
def test_a_file_that_cannot_be_read_gives_no_id_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, goes_offline: bool
) -> None:
    disks = [tmp_path / "disk1", tmp_path / "disk2"]
    logs = open_logs(*disks)
    ids = ProducerIds(logs)

    def unreadable(_: Path) -> str:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", unreadable)
        with pytest.raises(KafkaStorageError, match=os.strerror(number)):
            ids.take()
    assert (disks[0] in logs.offline) == goes_offline
    assert ids.take() == 0
    logs.close()
