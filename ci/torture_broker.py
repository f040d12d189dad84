"""A broker to be killed, and the questions that are asked of it in between."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import IO, NamedTuple

from zerocopy_lab.client.consumer import fetch
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.errors import OffsetOutOfRange
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.batch import iterate_headers
from zerocopy_lab.records.record import Record, read_records

ROOT = Path(__file__).resolve().parents[1]
EARLIEST, LATEST = -2, -1
_CREATE_TOPICS_VERSION = 5
_DELETE_TOPICS_VERSION = 4
_LIST_OFFSETS_VERSION = 5
_FETCH_BYTES = 4 << 20
_TIMEOUT = timedelta(seconds=30)


def spawn(data_dir: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """A broker whose housekeeping comes round twenty times a second. It may not listen yet."""
    words = ["serve", "--port", "0", "--data-dir", str(data_dir)]
    words += ["--set", "log.retention.check.interval.ms=50", "--log-level", "warning"]
    return subprocess.Popen(
        [sys.executable, "-m", "zerocopy_lab", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=log,
    )


def port_of(broker: subprocess.Popen[bytes]) -> int:
    """Waits until it listens. Raises RuntimeError when it ends instead."""
    assert broker.stdout is not None
    line = broker.stdout.readline().decode()
    if not line.startswith("listening on "):
        raise RuntimeError(f"the broker said {line!r} and ended with {broker.wait()}")
    return int(line.rpartition(":")[2])


def kill(broker: subprocess.Popen[bytes]) -> None:
    """Kill -9, also one that is gone already."""
    broker.kill()
    broker.wait()
    assert broker.stdout is not None
    broker.stdout.close()


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
