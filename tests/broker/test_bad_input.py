"""What a broker does with input it should never have got.

Each time the same: a Kafka error or a closed connection, one log line that says why, a second
client that is served as before, and nothing lost of what was acknowledged.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.served import VERSIONS
from zerocopy_lab.client.consumer import fetch, fetch_frame
from zerocopy_lab.client.producer import produce, produce_frame
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.errors import CorruptMessage, InvalidTopic, UnsupportedVersion
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.running_broker import RunningBroker

NOW_MS = time.time_ns() // 1_000_000
BATCH = build_batch([Record(0, NOW_MS, b"k", b"kept", ())])


class Witness:
    """A well-behaved client beside the others, and what it was told is stored."""

    def __init__(self, broker: RunningBroker) -> None:
        self.broker = broker
        self.wire = Wire(broker.host, broker.port)
        assert self.wire.ask_for_topic("kept") == 0
        self.stored = b""
        self.work()

    def work(self) -> None:
        """Store one more batch and read everything back."""
        code, offset = produce(self.wire, "kept", 0, BATCH)
        assert code == 0
        self.stored += offset.to_bytes(8, "big") + BATCH[8:]
        found = fetch(self.wire, "kept", 0, 0, max_bytes=64 << 20)
        assert (found.error_code, found.high_watermark) == (0, offset + 1)
        assert _without_epochs(found.records) == _without_epochs(self.stored)

    def log_lines(self) -> list[str]:
        return self.broker.log_path.read_text().splitlines()


def _without_epochs(records: bytes) -> bytes:
    """The leader epoch (bytes 12 to 15 of a batch) is the broker's to write."""
    stripped = bytearray(records)
    for position in range(0, len(records), len(BATCH)):
        stripped[position + 12 : position + 16] = bytes(4)
    return bytes(stripped)


@pytest.fixture(scope="module")
def witness() -> Iterator[Witness]:
    with RunningBroker() as broker:
        yield Witness(broker)


def _connect(witness: Witness) -> socket.socket:
    return socket.create_connection((witness.broker.host, witness.broker.port), timeout=10)


def _assert_closed(sock: socket.socket) -> None:
    with suppress(ConnectionResetError):
        assert sock.recv(1) == b""


def _header(key: int, version: int) -> bytes:
    return struct.pack(">hhih", key, version, 1, -1)


def _frame(payload: bytes) -> bytes:
    return struct.pack(">i", len(payload)) + payload


@pytest.mark.parametrize(
    ("raw", "log_line"),
    [
        (
            struct.pack(">i", 104_857_601),
            "a frame of 104857601 bytes, over socket.request.max.bytes",
        ),
        (struct.pack(">i", 2**31 - 1), "a frame of 2147483647 bytes"),
        (struct.pack(">i", -1), "a frame of negative length -1"),
        (_frame(b""), "a request of 0 bytes, too short for a header"),
        (_frame(_header(4711, 0)), "request 4711 version 0 is not served"),
        (_frame(_header(ApiKey.metadata, 99)), "metadata version 99 is not served"),
        (_frame(_header(ApiKey.produce, 2) + bytes(30)), "Produce version 2"),
        (_frame(_header(ApiKey.produce, 3) + b"\xff"), "a Produce request cut off"),
        (_frame(_header(ApiKey.fetch, 4) + b"\x00"), "a Fetch request cut off at byte 11"),
        (_frame(_header(ApiKey.metadata, 1) + b"\x7f\xff\xff\xff"), "a list of 2147483647 items"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "a frame of 1195725856 bytes"),
    ],
)
def test_what_cannot_be_answered_ends_the_connection(
    raw: bytes, log_line: str, witness: Witness
) -> None:
    before = len(witness.log_lines())
    with _connect(witness) as sock:
        port = sock.getsockname()[1]
        sock.sendall(raw)
        _assert_closed(sock)
    witness.work()
    mine = [line for line in witness.log_lines()[before:] if f":{port}:" in line]
    assert len(mine) == 1, mine
    assert log_line in mine[0]


def test_a_frame_that_never_ends_disturbs_nobody(witness: Witness) -> None:
    with _connect(witness) as sock:
        sock.sendall(struct.pack(">i", 100 << 20) + _header(ApiKey.produce, 9))
        witness.work()
    witness.work()


def test_a_newer_api_versions_is_answered_in_version_0(witness: Witness) -> None:
    with _connect(witness) as sock:
        sock.sendall(_frame(struct.pack(">hhih", ApiKey.api_versions, 99, 7, -1) + b"???"))
        length, correlation_id, code = struct.unpack(">iih", sock.recv(10, socket.MSG_WAITALL))
        assert (correlation_id, code) == (7, UnsupportedVersion.code)
        body = sock.recv(length - 6, socket.MSG_WAITALL)
    count = struct.unpack_from(">i", body)[0]
    offered = {key: (low, high) for key, low, high in struct.iter_unpack(">hhh", body[4:])}
    assert len(offered) == count
    assert offered[ApiKey.produce] == (0, 13)
    assert offered[ApiKey.fetch] == (4, 18)
    assert offered.keys() <= VERSIONS.keys()


@pytest.mark.parametrize("bit", [17 * 8, 21 * 8 + 5, 61 * 8, len(BATCH) * 8 - 1])
def test_a_batch_with_a_flipped_bit_is_refused(bit: int, witness: Witness) -> None:
    broken = bytearray(BATCH)
    broken[bit // 8] ^= 1 << bit % 8
    before = len(witness.log_lines())
    with Wire(witness.broker.host, witness.broker.port) as wire:
        assert produce(wire, "kept", 0, bytes(broken)) == (CorruptMessage.code, -1)
        witness.work()
        assert produce(wire, "no-such-partition", 3, BATCH)[0] == 3
    lines = witness.log_lines()[before:]
    assert len([line for line in lines if "CorruptMessage" in line]) == 1
    assert not [line for line in lines if "Traceback" in line]


def test_with_acks_0_only_the_end_of_the_connection_can_tell(witness: Witness) -> None:
    broken = BATCH[:-1] + bytes([BATCH[-1] ^ 1])
    with Wire(witness.broker.host, witness.broker.port) as wire:
        wire.send_frame(produce_frame(wire, "kept", 0, broken, acks=0))
        _assert_closed(wire.sock)
    witness.work()


@pytest.mark.parametrize("name", ["../x", "a/b", ".", "..", "", "x" * 250, "größe", "a b", "a\0b"])
def test_an_illegal_topic_name_makes_no_topic_and_no_file(name: str, witness: Witness) -> None:
    files_before = sorted(os.listdir(witness.broker.data_dir.parent))
    with Wire(witness.broker.host, witness.broker.port) as wire:
        assert wire.ask_for_topic(name) == InvalidTopic.code
        assert produce(wire, name, 0, BATCH)[0] != 0
    assert sorted(os.listdir(witness.broker.data_dir.parent)) == files_before
    assert {
        re.sub(r"-\d+$", "", p.name) for p in witness.broker.data_dir.iterdir() if p.is_dir()
    } <= {"kept"}
    witness.work()


def test_clients_that_never_read(witness: Witness) -> None:
    """Twenty of them, each with a thousand large requests: no memory, no waiting for the others."""
    with Wire(witness.broker.host, witness.broker.port) as wire:
        assert wire.ask_for_topic("large") == 0
        large = build_batch([Record(0, NOW_MS, None, os.urandom(900_000), ())])
        for _ in range(10):
            assert produce(wire, "large", 0, large)[0] == 0
        frame = fetch_frame(wire, "large", 0, 0, max_bytes=9_000_000)
    before_kib = _resident_kib(witness.broker.pid)
    greedy = [_connect(witness) for _ in range(20)]
    try:
        for sock in greedy:
            sock.setblocking(False)
            with suppress(BlockingIOError):
                for _ in range(1000):
                    sock.send(frame)
        for _ in range(20):
            witness.work()
        # 20 responses of 9 MB are under way; held as bytes they would be 180 MB.
        assert _resident_kib(witness.broker.pid) - before_kib < 30_000
    finally:
        for sock in greedy:
            sock.close()
    witness.work()


def _resident_kib(pid: int) -> int:
    import psutil

    return int(psutil.Process(pid).memory_info().rss) // 1024


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_bytes_from_strangers(data: st.DataObject, witness: Witness) -> None:
    """Pure noise, and noise behind a good header of any request in any version."""
    key = data.draw(st.sampled_from(list(VERSIONS)))
    version = data.draw(st.integers(VERSIONS[key].lowest, VERSIONS[key].highest))
    body = data.draw(st.binary(max_size=300))
    with_header = data.draw(st.booleans())
    raw = _frame(_header(key, version) + b"\x00" * (version >= key.flexible_from) + body)
    with _connect(witness) as sock:
        sock.sendall(raw if with_header else body)
        sock.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while sock.recv(65536):
                pass
    assert witness.broker.pid
    assert "Traceback" not in witness.broker.log_path.read_text()


def test_after_all_that_everything_is_still_there(witness: Witness) -> None:
    witness.work()
    assert witness.broker.pid
