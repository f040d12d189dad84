"""Whoever holds a file lets go of it when its work is done, without the garbage collector: for each
way in which the answer to a Fetch can end.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.network.test_outbox_with_every_strategy import wait_until
from zerocopy_lab import transfer
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.log import PartitionLog
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import framed
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.broker_thread import BrokerThread

pytestmark = pytest.mark.usefixtures("no_collector")

LONG_MS = 600_000
MIB = 1 << 20


def batch(payload_bytes: int = 100) -> bytearray:
    return bytearray(build_batch([Record(0, 1_700_000_000_000, None, b"x" * payload_bytes)]))


def open_files(directory: Path) -> list[str]:
    """What this process holds open in `directory`, deleted or not."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:  # the descriptor of this very listing
            continue
        if target.startswith(f"{directory}/t"):
            found.append(target)
    return found


class Fetching:
    """A broker in this process, one topic `t`, and a client that fetches from it."""

    def __init__(self, broker: BrokerThread) -> None:
        self.broker = broker
        self.wire = Wire(broker.server.host, broker.server.port)
        settings = {"file.delete.delay.ms": "0", "retention.ms": "-1"}  # the records are old
        broker.broker.logs.create_topic("t", 1, settings)

    def log(self) -> PartitionLog:
        return self.broker.broker.logs.find("t", 0)

    def append(self, payload_bytes: int = 100) -> None:
        self.log().append(memoryview(batch(payload_bytes)))
        self.broker.broker.waiting.appended(("t", 0))

    def ask(self, offset: int = 0, version: int = 12, **limits: int) -> None:
        """Send a Fetch for `t`; from version 13 on the client of the labs does not know its id."""
        self.wire.send_frame(fetch_frame(self.wire, "t", 0, offset, version=version, **limits))

    def answer(self, version: int = 12) -> Any:
        return messages.decode_response(ApiKey.fetch, version, self.wire.receive_frame())[1]

    def long_poll(self) -> None:
        """One that has begun to wait."""
        self.ask(offset=self.log().log_end_offset, max_wait_ms=LONG_MS)
        wait_until(lambda: len(self.broker.broker.waiting) == 1)


def enough_at_once(fetching: Fetching) -> None:
    fetching.append()
    fetching.ask()
    assert fetching.answer().responses[0].partitions[0].records


def enough_later(fetching: Fetching) -> None:
    fetching.long_poll()
    fetching.append()
    assert fetching.answer().responses[0].partitions[0].records


def timeout(fetching: Fetching) -> None:
    fetching.append()
    fetching.ask(max_wait_ms=20, min_bytes=MIB)
    assert fetching.answer().responses[0].partitions[0].records


def client_gone_while_waiting(fetching: Fetching) -> None:
    fetching.append()
    fetching.ask(max_wait_ms=LONG_MS, min_bytes=MIB)
    wait_until(lambda: len(fetching.broker.broker.waiting) == 1)
    fetching.wire.close()
    wait_until(lambda: len(fetching.broker.broker.waiting) == 0)


def client_gone_when_there_was_enough(fetching: Fetching) -> None:
    """The answer meets a connection that has just ended."""
    fetching.long_poll()
    fetching.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    fetching.wire.close()
    fetching.append()
    wait_until(lambda: not fetching.broker.server.connections())


def topic_deleted_while_waiting(fetching: Fetching) -> None:
    fetching.append()
    fetching.ask(max_wait_ms=LONG_MS, min_bytes=MIB)
    wait_until(lambda: len(fetching.broker.broker.waiting) == 1)
    with Wire(fetching.broker.server.host, fetching.broker.server.port) as other:
        types = messages.types_of(ApiKey.delete_topics, 5, "request")
        request = types.DeleteTopicsRequest(topic_names=("t",), timeout=_SOON)
        other.send_frame(messages.encode_request(5, 1, "x", request))
        other.receive_frame()
    assert fetching.answer().responses[0].partitions[0].error_code == 3


def an_error_beside_records(fetching: Fetching) -> None:
    """One partition answers with a file, the next one with an error."""
    fetching.append()
    types = messages.types_of(ApiKey.fetch, 4, "request")
    partitions = tuple(
        types.FetchPartition(partition=p, fetch_offset=0, partition_max_bytes=MIB) for p in (0, 9)
    )
    request = messages.make(
        types.FetchRequest,
        replica_id=-1,
        max_wait=_SOON,
        min_bytes=MIB,
        max_bytes=MIB,
        isolation_level=0,
        topics=(types.FetchTopic(topic="t", partitions=partitions),),
    )
    fetching.wire.send_frame(messages.encode_request(4, 1, "x", request))
    found = fetching.answer(version=4).responses[0].partitions
    assert [p.error_code for p in found] == [0, 3]


def an_offset_out_of_range(fetching: Fetching) -> None:
    fetching.append()
    fetching.ask(offset=77, max_wait_ms=LONG_MS)
    assert fetching.answer().responses[0].partitions[0].error_code == 1


def client_gone_in_the_middle_of_a_file(fetching: Fetching) -> None:
    for _ in range(8):
        fetching.append(MIB - 1000)
    fetching.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    fetching.ask(max_bytes=8 * MIB)
    wait_until(lambda: any(c.outbox for c in fetching.broker.server.connections()))
    fetching.wire.close()
    wait_until(lambda: not fetching.broker.server.connections())


def a_frame_that_is_none(fetching: Fetching) -> None:
    """The next request ends the connection."""
    enough_at_once(fetching)
    fetching.wire.sock.sendall(framed(b"?"))
    assert fetching.wire.sock.recv(1) == b""


ENDS: list[Callable[[Fetching], None]] = [
    enough_at_once,
    enough_later,
    timeout,
    client_gone_while_waiting,
    client_gone_when_there_was_enough,
    topic_deleted_while_waiting,
    an_error_beside_records,
    an_offset_out_of_range,
    client_gone_in_the_middle_of_a_file,
    a_frame_that_is_none,
]
_SOON = timedelta(milliseconds=50)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
@pytest.mark.parametrize(
    "strategy",
    ["sendfile", "read_then_send", "mmap_then_send", "splice_through_pipe"],
)
def test_a_deleted_topic_has_no_file_open_after(
    end: Callable[[Fetching], None], strategy: str, tmp_path: Path
) -> None:
    """The client stays connected, if it can, and asks for nothing more."""
    if reason := transfer.strategies()[strategy].unavailable():
        pytest.skip(reason)
    with BrokerThread(tmp_path, transfer_name=strategy) as broker:
        fetching = Fetching(broker)
        end(fetching)
        if "t" in broker.broker.logs.topics():
            assert open_files(tmp_path)
            broker.broker.logs.delete_topic("t")
        wait_until(lambda: not open_files(tmp_path))
        fetching.wire.close()


@pytest.mark.parametrize("begin", [Fetching.long_poll, None], ids=["waiting", "sending"])
def test_a_broker_that_stops_holds_nothing(
    begin: Callable[[Fetching], None] | None, tmp_path: Path
) -> None:
    threads = threading.active_count()
    with BrokerThread(tmp_path) as broker:
        fetching = Fetching(broker)
        if begin is not None:
            begin(fetching)
        else:
            for _ in range(8):
                fetching.append(MIB - 1000)
            fetching.ask(max_bytes=8 * MIB)
            wait_until(lambda: any(c.outbox for c in broker.server.connections()))
    fetching.wire.close()
    assert open_files(tmp_path) == []
    assert threading.active_count() == threads
