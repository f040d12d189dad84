"""The alias test: was a copy made between file and socket? A yes or no without a clock or root.

    1. let the method under test put some pages of a file into a connected socket
    2. overwrite those pages of the file
    3. only now receive

*Old* bytes: somebody had copied them before they were overwritten. *New* bytes: the socket held a
reference to the page cache's own page, so on this way nobody had copied. The test says nothing
about what happens later (on loopback the receiver's `recv` copies).

It works because sendfile(2) promises so little: "the file must not be modified until the receiver
has consumed the data". Every byte is overwritten by its complement, so each one tells old from new.

`alias_test` tries a strategy on its own; `alias_test_of_broker` tries a whole broker, this one or a
real Kafka, on its answer to a real Fetch request.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.transfer import Transfer, strategies
from zerocopy_lab.transfer.connections import Family, Pair, is_ready, pair_for
from zerocopy_lab.transfer.send_with_msg_zerocopy import SendWithMsgZerocopy

PAGE_BYTES = 4096
OVERWRITTEN = "overwritten-while-sent"
"""The name of the file that `alias_test_between` leaves."""

PROBE_BYTES = 2 * PAGE_BYTES
"""Few enough to fit into any socket's buffers at once: what is not yet sent cannot be judged."""

PATIENCE_S = 10.0

Answer = Literal["alias", "copied", "inconclusive"]
ARRIVED: Mapping[str, tuple[str, str]] = {
    "alias": ("the new bytes", "nobody copied"),
    "copied": ("the old bytes", "somebody copied"),
    "inconclusive": ("a mixture", "not clear"),
}
"""What came, and what that says, in words."""
PageAnswer = Literal["old", "new", "mixed", "neither"]

_HEAD_BYTES = 4096  # more than a response says before its first records
_BATCH_HEADER_BYTES = 61
_LENGTH = struct.Struct(">i")
_COMPLEMENT = bytes(255 - value for value in range(256))


@dataclass(frozen=True)
class AliasVerdict:
    """What came out of the socket after the file had been overwritten."""

    subject: str
    """The strategy's name, or the broker's address."""

    family: Family
    verdict: Answer
    detail: str
    """The same in words, with figures."""

    pages: tuple[PageAnswer, ...]
    """For each page that was in the socket; the last may be shorter than a page."""

    def pages_in_words(self) -> str:
        """`new, new` for a few pages, `64 new` for many."""
        return _counted(self.pages)


def alias_test(
    strategy: str | type[Transfer],
    family: Family = "tcp",
    directory: Path | None = None,
    *,
    probe_bytes: int = PROBE_BYTES,
    before_bytes: int = 0,
) -> AliasVerdict:
    """Try one strategy, by name or class, with a file in `directory` (None: the temporary one).

    The piece has `probe_bytes` and lies behind `before_bytes` others; of a large one as much is
    judged as the socket takes at once.
    Raises ValueError when this machine or this kind of socket does not have the strategy.
    """
    chosen = _strategy_for(strategy, family)
    with tempfile.TemporaryDirectory(dir=directory) as files, pair_for(chosen, family) as pair:
        return alias_test_between(
            pair, chosen, family, Path(files), probe_bytes=probe_bytes, before_bytes=before_bytes
        )


def alias_test_between(
    pair: Pair,
    chosen: type[Transfer],
    family: Family,
    directory: Path,
    *,
    probe_bytes: int = PROBE_BYTES,
    before_bytes: int = 0,
) -> AliasVerdict:
    """Try a strategy on a connection that is there already, with a file in `directory`."""
    path, old = directory / OVERWRITTEN, os.urandom(probe_bytes)
    path.write_bytes(bytes(before_bytes) + old)
    piece = FileSlice(OpenFile.open(path), before_bytes, probe_bytes)
    transfer = chosen()
    pair.sender.setblocking(False)
    sent_bytes = _send_at_once(transfer, pair.sender, piece)
    _overwrite(path, before_bytes, old.translate(_COMPLEMENT))
    if os.pread(piece.file.fd, probe_bytes, before_bytes) == old:
        raise OSError(f"{path} could not be overwritten under the file that is being sent")
    received = _receive(pair.receiver, sent_bytes)
    remark = _reports(transfer, pair.sender)
    transfer.close()
    pages = _judge(received, old[:sent_bytes])
    verdict, detail = _in_words(pages, sent_bytes)
    return AliasVerdict(chosen.name, family, verdict, detail + remark, pages)


def alias_test_of_broker(
    host: str,
    port: int,
    segment: Path,
    fetch: bytes | Callable[[socket.socket], object],
    position: int = 0,
    probe_bytes: int = PROBE_BYTES,
) -> AliasVerdict:
    """Try a running broker on its response to a Fetch, overwriting and then restoring its segment.

    `fetch` is the request's frame, or sends it on the socket it is given; the records it asks for
    must begin at byte `position` of the file `segment` (0: a fetch from the segment's base offset).
    Of a large answer the first `probe_bytes` are judged, as many as fit into the sockets' buffers.
    While the test runs the segment is damaged: a lab's broker only, and no other consumer.
    Raises ConnectionError or TimeoutError when no answer comes, ValueError when the answer does not
    hold the segment's bytes, PermissionError when the segment may not be written.
    """
    with socket.create_connection((host, port), timeout=PATIENCE_S) as sock:
        return alias_test_over(sock, segment, fetch, position, probe_bytes)


def alias_test_over(
    sock: socket.socket,
    segment: Path,
    fetch: bytes | Callable[[socket.socket], object],
    position: int = 0,
    probe_bytes: int = PROBE_BYTES,
) -> AliasVerdict:
    """The same over a connection to the broker that is there already."""
    host, port = sock.getpeername()[:2]
    if callable(fetch):
        fetch(sock)
    else:
        sock.sendall(fetch)
    arrived = _peek_at_response(sock, probe_bytes)
    with segment.open("rb") as log:
        old = os.pread(log.fileno(), probe_bytes, position)
    head_bytes = _start_of_records(arrived, old, segment)
    old = old[: len(arrived) - head_bytes]
    try:
        _overwrite(segment, position, old.translate(_COMPLEMENT))
        received = _receive(sock, head_bytes + len(old))[head_bytes:]
    finally:
        _overwrite(segment, position, old)
    pages = _judge(received, old)
    verdict, detail = _in_words(pages, len(old))
    return AliasVerdict(f"the broker at {host}:{port}", "tcp", verdict, detail, pages)


# -- a strategy ------------------------------------------------------------------------------------


def _strategy_for(strategy: str | type[Transfer], family: Family) -> type[Transfer]:
    known = strategies()
    if isinstance(strategy, str) and strategy not in known:
        raise ValueError(f"no transfer strategy {strategy!r}; choose one of {', '.join(known)}")
    chosen = known[strategy] if isinstance(strategy, str) else strategy
    reason = chosen.unavailable()
    if reason is None and family == "unix" and chosen.tcp_only:
        reason = "it is for TCP only"
    if reason is not None:
        raise ValueError(f"{chosen.name} cannot be tested on a {family} socket here: {reason}")
    return chosen


def _send_at_once(transfer: Transfer, sender: socket.socket, piece: FileSlice) -> int:
    """Send until all is in the socket, or until it is full; the bytes that are in the socket."""
    sent_bytes = 0
    with suppress(BlockingIOError):
        while sent_bytes < piece.length:
            sent_bytes += transfer.send(sender, piece, sent_bytes)
    return sent_bytes


def _reports(transfer: Transfer, sender: socket.socket) -> str:
    """What the kernel itself says about MSG_ZEROCOPY, once the receiver has everything."""
    if not isinstance(transfer, SendWithMsgZerocopy):
        return ""
    queue = select.poll()
    queue.register(sender, 0)  # no event asked for: only the error queue (POLLERR) answers
    while transfer.reported_sends < transfer.sends and queue.poll(PATIENCE_S * 1000):
        transfer.settle(sender)
    return (
        f"; the kernel reported {transfer.reported_sends} of {transfer.sends} sends as done, "
        f"{transfer.copied_sends} of them as COPIED"
    )


# -- a broker --------------------------------------------------------------------------------------


def _peek_at_response(sock: socket.socket, probe_bytes: int) -> bytes:
    """The response's first bytes, which stay in the socket: its head and up to as many more."""
    (length,) = _LENGTH.unpack(_peek(sock, _LENGTH.size, _LENGTH.size))
    all_bytes = _LENGTH.size + length
    at_least = min(all_bytes, _HEAD_BYTES + PROBE_BYTES)
    return _peek(sock, min(all_bytes, _HEAD_BYTES + probe_bytes), at_least)


def _peek(sock: socket.socket, count: int, at_least: int) -> bytes:
    """So many bytes; fewer, but `at_least` those, when the receive buffer has no room for more."""
    # With this low-water mark the socket counts as readable only when so many bytes are there.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
    if not is_ready(PATIENCE_S, read=[sock]):
        raise TimeoutError(f"the broker did not send {count} bytes of response in {PATIENCE_S} s")
    arrived = sock.recv(count, socket.MSG_PEEK)
    if len(arrived) < at_least:
        raise ConnectionError(f"the broker hung up after {len(arrived)} of {count} bytes")
    return arrived


def _start_of_records(arrived: bytes, old: bytes, segment: Path) -> int:
    """Where the segment's bytes begin in the response: at its first batch header."""
    found = arrived.find(old[:_BATCH_HEADER_BYTES]) if old else -1
    if found < 0:
        raise ValueError(
            f"the first {len(arrived)} bytes of the response do not hold the batch header found in "
            f"{segment}: fetch from the offset at which the given position lies (error responses "
            "have no records)"
        )
    return found


# -- both ------------------------------------------------------------------------------------------


def _overwrite(path: Path, position: int, content: bytes) -> None:
    with path.open("r+b", buffering=0) as overwritten:
        assert os.pwrite(overwritten.fileno(), content, position) == len(content)


def _receive(receiver: socket.socket, count: int) -> bytes:
    receiver.settimeout(PATIENCE_S)
    received = bytearray()
    while len(received) < count:
        more = receiver.recv(count - len(received))
        if not more:
            raise ConnectionError(f"the stream ended after {len(received)} of {count} bytes")
        received += more
    return bytes(received)


def _judge(received: bytes, old: bytes) -> tuple[PageAnswer, ...]:
    new = old.translate(_COMPLEMENT)
    starts = range(0, len(received), PAGE_BYTES)
    return tuple(
        _judge_page(*(side[at : at + PAGE_BYTES] for side in (received, old, new))) for at in starts
    )


def _judge_page(received: bytes, old: bytes, new: bytes) -> PageAnswer:
    if received in (old, new):
        return "old" if received == old else "new"
    known = all(byte in pair for byte, *pair in zip(received, old, new, strict=False))
    return "mixed" if known else "neither"


def _in_words(pages: tuple[PageAnswer, ...], sent_bytes: int) -> tuple[Answer, str]:
    in_socket = f"{sent_bytes} bytes were in the socket when the file was overwritten"
    if pages and set(pages) == {"old"}:
        return "copied", f"{in_socket}; the old ones arrived: somebody had copied them"
    if pages and set(pages) == {"new"}:
        return "alias", f"{in_socket}; the new ones arrived: the socket held the pages themselves"
    return (
        "inconclusive",
        f"{in_socket}; page by page there arrived: {_counted(pages) or 'nothing'}",
    )


def _counted(pages: tuple[PageAnswer, ...]) -> str:
    """`old, new, mixed` for a few pages, `3 old, 150 new` for many."""
    if len(pages) <= 8:
        return ", ".join(pages)
    return ", ".join(f"{pages.count(kind)} {kind}" for kind in dict.fromkeys(pages))
