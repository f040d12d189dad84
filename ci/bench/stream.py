"""Messages at a steady rate through a broker, and how long each took from end to end.

A producer sends every millisecond what is due since the last one, as one batch of messages of 100
bytes, acks=1; a consumer that waits for them (in a process of its own) notes when they come. Each
wait counts from the moment when its message was *due*: a broker that stands still for a while makes
all wait that should have been sent meanwhile, and not only the one that was.
"""

from __future__ import annotations

import multiprocessing
import struct
import time
from multiprocessing.connection import Connection

from crc32c import crc32c

from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import produce, produce_frame
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.records.batch import CRC_START, iterate_headers
from zerocopy_lab.records.record import Record, build_batch

MESSAGE_BYTES = 100
_TICK_NS = 1_000_000
_STAMP = struct.Struct(">q")
_MARK = _STAMP.pack(0x5A65726F436F7079)
_OFFSET_MARK = 0x0123_4567_89AB_CDEF
_CRC_AT = 17


def waits_ms(host: str, port: int, topic: str, rate_per_s: int, seconds: float) -> list[float]:
    """One wait for each batch; the topic is there already. Raises AssertionError when a batch is
    refused or does not come.
    """
    batches = int(seconds * 1e9) // _TICK_NS
    context = multiprocessing.get_context("spawn")
    ours, consumers = context.Pipe()
    with Wire(host, port) as wire:
        producer = Stamped(wire, topic, rate_per_s * _TICK_NS // 1_000_000_000)
        code, first_offset = producer.warm_up()
        assert code == 0, f"a message was refused: Kafka's error {code}"
        arguments = (host, port, topic, first_offset, batches, producer.stamp_in_batch, consumers)
        consumer = context.Process(target=_consume, args=arguments, daemon=True)
        consumer.start()
        try:
            assert ours.poll(30), "the consumer does not start"
            ours.recv()
            began_ns = time.monotonic_ns() + _TICK_NS
            for number in range(batches):
                due_ns = began_ns + number * _TICK_NS
                left_ns = due_ns - time.monotonic_ns()
                if left_ns > 0:
                    time.sleep(left_ns / 1e9)  # the pace of the load, no waiting for a condition
                producer.send(due_ns)
            assert ours.poll(30), "not all messages came"
            waits: list[float] = ours.recv()
        finally:
            consumer.kill()
            consumer.join()
    return waits


class Stamped:
    """A Produce request that is made once, and sent with another stamp each time, `stamp_in_batch`
    bytes from the beginning of its batch.
    """

    def __init__(self, wire: Wire, topic: str, messages: int) -> None:
        self._wire = wire
        self._topic = topic
        self._count = max(messages, 1)
        value = _MARK.ljust(MESSAGE_BYTES, b".")
        now_ms = time.time_ns() // 1_000_000
        records = [Record(n, now_ms, None, value) for n in range(self._count)]
        self.batch = build_batch(records)
        self._frame = bytearray(produce_frame(wire, topic, 0, self.batch, acks=1))
        self._batch_at = self._frame.index(self.batch)
        self._stamp_at = self._frame.index(_MARK)
        self.stamp_in_batch = self._stamp_at - self._batch_at

    def warm_up(self) -> tuple[int, int]:
        """Append once; the error code, and the offset of what is sent next."""
        code, offset = produce(self._wire, self._topic, 0, self.batch)
        return code, offset + self._count

    def send(self, stamp_ns: int) -> None:
        """And wait for the answer."""
        frame, end = memoryview(self._frame), self._batch_at + len(self.batch)
        _STAMP.pack_into(frame, self._stamp_at, stamp_ns)
        crc = crc32c(frame[self._batch_at + CRC_START : end])
        struct.pack_into(">I", frame, self._batch_at + _CRC_AT, crc)
        self._wire.sock.sendall(frame)
        self._wire.receive_frame()


def _consume(
    host: str,
    port: int,
    topic: str,
    offset: int,
    batches: int,
    stamp_in_batch: int,
    told: Connection,
) -> None:
    """The waits of so many batches from `offset` on, in ms; says first that it is there."""
    template = fetch_frame(
        Frames(), topic, 0, _OFFSET_MARK, min_bytes=1, max_wait_ms=500, max_bytes=1 << 20
    )
    frame = bytearray(template)
    offset_at = frame.index(_STAMP.pack(_OFFSET_MARK))
    waits: list[float] = []
    with Wire(host, port) as wire:
        told.send("ready")
        while len(waits) < batches:
            _STAMP.pack_into(frame, offset_at, offset)
            wire.sock.sendall(frame)
            answer = wire.receive_frame()
            now_ns = time.monotonic_ns()
            records = answer[_records_at(topic) :]
            for position, header in iterate_headers(records, may_be_cut=True):
                if header.last_offset < offset:
                    continue
                offset = header.last_offset + 1
                (stamp_ns,) = _STAMP.unpack_from(records, position + stamp_in_batch)
                waits.append((now_ns - stamp_ns) / 1e6)
    told.send(waits)


def _records_at(topic: str) -> int:
    """Where the records begin in the answer for one partition, version 11 (`protocol.fetch`)."""
    return 4 + 4 + 2 + 4 + 4 + 2 + len(topic) + 4 + 4 + 2 + 8 + 8 + 8 + 4 + 4 + 4
