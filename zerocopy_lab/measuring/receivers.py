"""Receivers in processes of their own, because a receiver decides what of a sender becomes visible.

| kind     | what it does with the bytes            | TCP | unix | stands for                     |
|----------|----------------------------------------|-----|------|--------------------------------|
| touching | `recv_into`: copies them to its memory | yes | yes  | a consumer on this machine     |
| dropping | `recv` with MSG_TRUNC: no copy         | yes | –    | a network card                 |
| splicing | `splice` to a pipe and to /dev/null    | yes | yes  | nobody: the sender alone       |

A touching receiver also pays the cache misses that sendfile has only postponed; a broker with a
network card does not. A unix socket ignores MSG_TRUNC and copies, so nothing can be
dropped there.

    with RunningReceiver("dropping", "tcp") as receiver:
        ... send through receiver.sock ...
        received = receiver.finish()        # bytes and CPU of the receiver alone

With `tls` the receiver shakes hands as a TLS client (anonymous). A touching one decrypts; the
others take the ciphertext as it comes, so they count the records' framing too.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import Literal, NamedTuple, Self

from zerocopy_lab.running.running_broker import importable_here
from zerocopy_lab.transfer.anonymous_tls import anonymous_contexts
from zerocopy_lab.transfer.connections import Family, connected_pair

Kind = Literal["touching", "dropping", "splicing"]
_END_TIMEOUT_S = 10.0


class Received(NamedTuple):
    """What a receiver took from its first byte to the end of the stream, and what that cost it."""

    received_bytes: int
    user_s: float
    system_s: float

    @property
    def cpu_s(self) -> float:
        """User and system time together."""
        return self.user_s + self.system_s


def receiver_unavailable(kind: Kind, family: Family) -> str | None:
    """None where this machine has such a receiver, or the reason why not."""
    if kind == "dropping" and family == "unix":
        return "a unix socket copies whatever it is asked to drop"
    if kind == "dropping" and sys.platform != "linux":
        return f"{sys.platform} does not drop with MSG_TRUNC what has arrived over TCP"
    if kind == "splicing" and not hasattr(os, "splice"):
        return f"{sys.platform} has no splice(2)"
    return None


class RunningReceiver:
    """A receiver's process, connected to `sock`, a blocking socket of ours.

    `cpu` pins the process to one processor. Raises ValueError when this machine has no such
    receiver, RuntimeError when the process fails.
    """

    def __init__(
        self, kind: Kind, family: Family = "tcp", *, cpu: int | None = None, tls: bool = False
    ) -> None:
        if reason := receiver_unavailable(kind, family):
            raise ValueError(f"no {kind} receiver on a {family} socket here: {reason}")
        if cpu is not None and not hasattr(os, "sched_setaffinity"):
            raise ValueError(f"{sys.platform} lets no process choose its processor")
        plain = connected_pair(family)
        self.sock = plain.sender
        with plain.receiver as theirs:
            orders = {"kind": kind, "fd": theirs.fileno(), "cpu": cpu, "tls": tls}
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "zerocopy_lab.measuring.receiver_process",
                    json.dumps(orders),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                env=importable_here({}),
                text=True,
            )
        self.pid = self._process.pid
        try:
            if tls:
                self.sock = anonymous_contexts()[0].wrap_socket(self.sock, server_side=True)
            self._next_line()  # "ready": the program has started, its CPU time may be read
        except BaseException:
            self.close()
            raise

    def finish(self) -> Received:
        """End the stream and wait for the report; the process, to be metered, stays until close().

        Raises RuntimeError when it ended before its time.
        """
        with suppress(OSError):  # it has hung up: then its report is missing too
            self.sock.shutdown(socket.SHUT_WR)
        return Received(**json.loads(self._next_line()))

    def _next_line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the receiver's process {self.pid} failed; its stderr says why")
        return line

    def close(self) -> None:
        """Hang up and end the process; safe to call twice."""
        self.sock.close()
        try:
            self._process.communicate(timeout=_END_TIMEOUT_S)  # the end of its stdin ends it
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
