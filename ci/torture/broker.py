"""A broker to be killed, and the questions that are asked of it in between."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import zerocopy_lab.commands.serve  # noqa: F401 - before the fork: see Broker
from zerocopy_lab.__main__ import main
from zerocopy_lab.client.consumer import fetch
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.errors import OffsetOutOfRange
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.batch import iterate_headers
from zerocopy_lab.records.record import Record, read_records

EARLIEST, LATEST = -2, -1
_CREATE_TOPICS_VERSION = 5
_DELETE_TOPICS_VERSION = 4
_LIST_OFFSETS_VERSION = 5
_FETCH_BYTES = 4 << 20
_TIMEOUT = timedelta(seconds=30)


class Broker:
    """`zerocopy_lab serve` in a process of its own, with housekeeping twenty times a second.

    It is forked from this process, which has imported all of it: so a start costs milliseconds
    instead of the third of a second that Python takes to read the sources, and a thousand kills
    take minutes. It may not listen yet.
    """

    def __init__(self, data_dir: Path, log_path: Path) -> None:
        words = ["serve", "--port", "0", "--data-dir", str(data_dir), "--log-level", "warning"]
        words += ["--set", "log.retention.check.interval.ms=50"]
        reader, writer = os.pipe()
        fork = multiprocessing.get_context("fork")
        self._process = fork.Process(target=_serve, args=(words, writer, log_path))
        self._process.start()
        os.close(writer)
        self._output = os.fdopen(reader)

    def port(self) -> int:
        """Waits until it listens. Raises RuntimeError when it ends instead."""
        line = self._output.readline()
        if not line.startswith("listening on "):
            self._process.join()
            raise RuntimeError(f"the broker said {line!r} and ended with {self._process.exitcode}")
        return int(line.rpartition(":")[2])

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends by itself before that time is over."""
        self._process.join(seconds)
        return self._process.exitcode is not None

    def kill(self) -> None:
        """Kill -9, also one that is gone already."""
        self._process.kill()
        self._process.join()
        self._output.close()

    def stop(self) -> int:
        """A clean stop (SIGTERM); its exit code."""
        self._process.terminate()
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode


def _serve(words: list[str], output: int, log_path: Path) -> None:
    os.dup2(output, 1)
    os.dup2(os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    sys.exit(main(words))


def create_topic(wire: Wire, topic: str, settings: Mapping[str, str]) -> None:
    """One partition. Raises RuntimeError when it is refused."""
    types = messages.types_of(ApiKey.create_topics, _CREATE_TOPICS_VERSION, "request")
    configs = tuple(types.CreatableTopicConfig(name=n, value=v) for n, v in settings.items())
    wanted = types.CreatableTopic(
        name=topic, num_partitions=1, replication_factor=1, assignments=(), configs=configs
    )
    answer = wire.ask(
        ApiKey.create_topics,
        _CREATE_TOPICS_VERSION,
        topics=(wanted,),
        timeout=_TIMEOUT,
        validate_only=False,
    )
    _refuse(int(answer.topics[0].error_code), f"create {topic}")


def delete_topic(wire: Wire, topic: str) -> None:
    """Raises RuntimeError when it is refused."""
    answer = wire.ask(
        ApiKey.delete_topics, _DELETE_TOPICS_VERSION, topic_names=(topic,), timeout=_TIMEOUT
    )
    _refuse(int(answer.responses[0].error_code), f"delete {topic}")


def _refuse(error_code: int, action: str) -> None:
    if error_code:
        raise RuntimeError(f"cannot {action}: error {error_code}")


class Read(NamedTuple):
    """All records of a partition, its first offset and the one behind its last."""

    records: list[Record]
    log_start: int
    end: int


def read_all(wire: Wire, topic: str) -> Read:
    """A whole partition, through Fetch. Retention may delete its start meanwhile: then again."""
    while True:
        log_start, end = (_offset(wire, topic, time) for time in (EARLIEST, LATEST))
        records: list[Record] = []
        offset = log_start
        while offset < end:
            answer = fetch(wire, topic, 0, offset, max_bytes=_FETCH_BYTES)
            if answer.error_code == OffsetOutOfRange.code:
                break
            _refuse(answer.error_code, f"read {topic} from {offset}")
            got = list(read_records(memoryview(answer.records), may_be_cut=True))
            records += [record for record in got if record.offset >= offset]
            offset = _next_offset(answer.records, offset, topic)
        else:
            return Read(records, log_start, end)


def _next_offset(fetched: bytes, offset: int, topic: str) -> int:
    headers = [header for _, header in iterate_headers(memoryview(fetched), may_be_cut=True)]
    if not headers or headers[-1].last_offset < offset:
        raise RuntimeError(f"{topic} ends at {offset}, before its log end offset")
    return headers[-1].last_offset + 1


def _offset(wire: Wire, topic: str, timestamp: int) -> int:
    types = messages.types_of(ApiKey.list_offsets, _LIST_OFFSETS_VERSION, "request")
    wanted = types.ListOffsetsPartition(
        partition_index=0, current_leader_epoch=-1, timestamp=timestamp
    )
    answer = wire.ask(
        ApiKey.list_offsets,
        _LIST_OFFSETS_VERSION,
        replica_id=-1,
        isolation_level=0,
        topics=(types.ListOffsetsTopic(name=topic, partitions=(wanted,)),),
    )
    found = answer.topics[0].partitions[0]
    _refuse(int(found.error_code), f"ask {topic} for an offset")
    return int(found.offset)
