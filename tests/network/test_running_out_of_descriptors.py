"""No descriptor left for a caller: it is turned away, nothing spins, and it passes."""

from __future__ import annotations

import errno
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from zerocopy_lab import transfer
from zerocopy_lab.network.listener import Listener
from zerocopy_lab.network.quotas import Limits
from zerocopy_lab.network.reactor import Reactor


class Accepting:
    """A listener in its reactor's thread, whose accept(2) fails as the test says."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        self.accepted: list[socket.socket] = []
        self.listener = Listener("127.0.0.1", 0, self.reactor, self._on_connect)
        self.came = threading.Semaphore(0)
        self.accepts = 0
        self.failing_with: int | None = None
        self._real = self.listener._sock
        self.listener._sock = self  # type: ignore[assignment]

    def _on_connect(self, sock: socket.socket, host: str, port: int) -> None:
        self.accepted.append(sock)
        self.came.release()

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        self.accepts += 1
        # A descriptor is free only while the spare one is not held.
        has_spare = self.listener._spare_fd is not None
        if self.failing_with == errno.ENOMEM or (self.failing_with and has_spare):
            raise OSError(self.failing_with, os.strerror(self.failing_with))
        return self._real.accept()

    def fileno(self) -> int:
        return self._real.fileno()

    def close(self) -> None:
        self._real.close()

    def connect(self) -> socket.socket:
        return socket.create_connection((self.listener.host, self.listener.port), timeout=10)

    def in_the_reactor(self, call: Callable[[], None]) -> None:
        done = threading.Event()
        self.reactor.call_soon(call)
        self.reactor.call_soon(done.set)
        assert done.wait(10)


@pytest.fixture
def accepting() -> Iterator[Accepting]:
    with running() as one:
        yield one


@contextmanager
def running() -> Iterator[Accepting]:
    accepting = Accepting()
    thread = threading.Thread(target=accepting.reactor.run)
    thread.start()
    try:
        yield accepting
    finally:
        accepting.reactor.stop()
        thread.join(10)
        accepting.listener.close()
        accepting.reactor.close()
        for sock in accepting.accepted:
            sock.close()


def test_who_comes_without_a_descriptor_is_turned_away_and_that_is_said_once(
    accepting: Accepting, caplog: pytest.LogCaptureFixture
) -> None:
    accepting.failing_with = errno.EMFILE
    for _ in range(3):
        with accepting.connect() as turned_away:
            assert turned_away.recv(1) == b""
    assert caplog.text.count("turning connections away") == 1
    accepting.failing_with = None
    with accepting.connect():
        assert accepting.came.acquire(timeout=10)


def test_where_not_even_that_helps_nobody_is_listened_to_until_later(
    accepting: Accepting,
) -> None:
    accepting.failing_with = errno.ENOMEM
    with accepting.connect():
        accepting.in_the_reactor(lambda: None)
        while accepting.accepts < 2:
            accepting.in_the_reactor(lambda: None)
        tried = accepting.accepts
        for _ in range(100):
            accepting.in_the_reactor(lambda: None)
        assert accepting.accepts == tried, "the selector spins"
        accepting.failing_with = None
        accepting.in_the_reactor(accepting.listener.listen)
        assert accepting.came.acquire(timeout=10)


def test_there_are_no_more_connections_than_descriptors(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def allow(count: int) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (count, count))

    allow(256)
    assert Limits().within_descriptors(128).max_connections == 128
    assert "max.connections is 128 and not 10000" in caplog.text
    assert Limits(max_connections=100).within_descriptors(128).max_connections == 100
    with_pipes = 1 + transfer.make("splice_through_pipe").descriptors
    assert Limits().within_descriptors(128, with_pipes).max_connections == 42
    allow(100)
    assert Limits().within_descriptors(128).max_connections == 1
    allow(resource.RLIM_INFINITY)
    assert Limits().within_descriptors(128) == Limits()
