"""The client of lab 12 that costs next to nothing: batches made beforehand, answers dropped."""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Final

from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import VERSION as PRODUCE_VERSION
from zerocopy_lab.client.producer import produce_frame
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.lessons.lab12.orders import TIMEOUT_S, LoadOrder, LoadRun, Meter, batch_for, evict
from zerocopy_lab.measuring.fetching import receive_and_drop
from zerocopy_lab.protocol import messages as protocol_messages
from zerocopy_lab.protocol.framing import LENGTH
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.running.flight_events import NotDelivered

_ON_THEIR_WAY: Final = 5


def produce_ours(order: LoadOrder) -> LoadRun:
    """Whole batches. Raises NotDelivered for one that was refused."""
    batch, each = batch_for(order.message_bytes, order.way.codec, order.way.batched)
    count = max(1, order.messages // each)
    with _connected(order) as wire:
        frame = produce_frame(wire, order.topic, 0, batch, acks=1)
        meter = Meter(order.broker.pid)
        answers = list(_in_a_row(wire, [frame] * count))
        ran = meter.ran(count * each)
    for answer in answers:
        _, told = protocol_messages.decode_response(ApiKey.produce, PRODUCE_VERSION, answer)
        if code := int(told.responses[0].partition_responses[0].error_code):
            raise NotDelivered(f"{order.topic}: error {code}")
    return ran


def _in_a_row(wire: Wire, frames: Sequence[bytes]) -> Iterator[memoryview]:
    """Sends all, a few on their way at any time; the answers."""
    for number, frame in enumerate(frames):
        wire.send_frame(frame)
        if number >= _ON_THEIR_WAY:
            yield wire.receive_frame()
    for _ in frames[-_ON_THEIR_WAY:]:
        yield wire.receive_frame()


def consume_ours(order: LoadOrder) -> LoadRun:
    """Whole answers. Raises NotDelivered for one that brought nothing."""
    frames, each = _fetches(order)
    with _connected(order) as wire:
        drop = _decrypt_and_drop if order.way.tls else receive_and_drop
        wire.send_frame(frames[0])
        least_bytes = drop(wire.sock)  # the way is known, and an empty answer will be noticed
        evict(order)
        came, meter = [], Meter(order.broker.pid)
        for number, frame in enumerate(frames):
            wire.send_frame(frame)
            if number >= _ON_THEIR_WAY:
                came.append(drop(wire.sock))
        came += [drop(wire.sock) for _ in frames[-_ON_THEIR_WAY:]]
        ran = meter.ran(len(frames) * each)
    if min(came) < max(least_bytes // 2, order.message_bytes):
        raise NotDelivered(f"{order.topic}: a fetch brought {min(came)} bytes, not {least_bytes}")
    return ran


def _fetches(order: LoadOrder) -> tuple[list[bytes], int]:
    """Requests for as many messages as are wanted, and how many each brings."""
    batch, each = batch_for(order.message_bytes, order.way.codec, order.way.batched)
    together = max(1, min((1 << 20) // len(batch), order.log_messages // each))
    if not order.way.batched:
        together = 1
    offsets = list(range(0, order.log_messages - each * together + 1, each * together))
    if order.way.jumps:
        random.shuffle(offsets)  # other places every time: a broker remembers some
    count = max(1, order.messages // (each * together))
    limit_bytes = len(batch) * together
    frames = [
        fetch_frame(Frames(), order.topic, 0, offset, max_bytes=limit_bytes)
        for offset in islice(cycle(offsets), count)
    ]
    return frames, each * together


_BUFFER = bytearray(1 << 20)


def _decrypt_and_drop(sock: socket.socket) -> int:
    """One response over TLS; its length in bytes."""
    head = bytearray()
    while len(head) < LENGTH.size:
        head += _BUFFER[: _some(sock, LENGTH.size - len(head))]
    (length,) = LENGTH.unpack(head)
    left = int(length)
    while left:
        left -= _some(sock, left)
    return int(length)


def _some(sock: socket.socket, most_bytes: int) -> int:
    """Takes some bytes into the buffer: how many. Raises ConnectionError when no more come."""
    came = sock.recv_into(_BUFFER, min(most_bytes, len(_BUFFER)))
    if came == 0:
        raise ConnectionError("the broker hung up in the middle of an answer")
    return came


@contextmanager
def _connected(order: LoadOrder) -> Iterator[Wire]:
    broker = order.broker
    port = broker.tls_port if order.way.tls else broker.port
    assert port is not None, "a way with TLS is left out where there is no listener"
    with Wire(broker.host, port, timeout_s=TIMEOUT_S) as wire:
        if order.way.tls:
            context = ssl.create_default_context(cafile=broker.pem)
            wire.sock = context.wrap_socket(wire.sock, server_hostname=broker.host)
        yield wire
