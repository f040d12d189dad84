"""What a partition remembers about idempotent producers, so that a batch that is sent twice is
stored once.

A producer numbers its records, per partition, 0, 1, 2, ... (KIP-98). For every producer id the
last five batches are remembered, because a producer may have five requests in flight. A batch that
comes again is answered with the offsets it got the first time; one that comes too early (an
earlier one got lost) is refused, so the order holds.

The state is written to `<offset>.snapshot`: "the state when the log ended at <offset>".

| at | field | | at | per producer (46 bytes) | |
|---|---|---|---|---|---|
| 0 | version i16 = 1 | | 0 | producer id i64 | |
| 2 | CRC-32C u32 of byte 6 to the end | | 8 | epoch i16 | |
| 6 | count i32 | | 10 | last sequence i32 | of the last batch |
| 10 | producers | | 14 | last offset i64 | |
| | | | 22 | offset delta i32 | last minus first offset |
| | | | 26 | timestamp i64 | |
| | | | 34 | coordinator epoch i32 | -1: no transactions here |
| | | | 38 | first offset of its transaction i64 | -1 |

Source: Kafka's `ProducerStateManager`, `ProducerAppendInfo`. A snapshot has room for one batch per
producer; the four before it are read back from the log's tail (loading.py), so that retries across
a restart find them. Left out: transactions.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from crc32c import crc32c

from zerocopy_lab.errors import InvalidProducerEpoch, OutOfOrderSequenceNumber
from zerocopy_lab.records.batch import NO_PRODUCER_ID, BatchHeader

REMEMBERED_BATCHES = 5  # a producer's max.in.flight.requests.per.connection may not be more
EXPIRATION_MS = 86_400_000  # Kafka's producer.id.expiration.ms
EXPIRY_INTERVAL_MS = 600_000  # Kafka's producer.id.expiration.check.interval.ms
_MAX_SEQUENCE = (1 << 31) - 1
_VERSION = 1
_HEADER = struct.Struct(">hIi")
_ENTRY = struct.Struct(">qhiqiqiq")
_CRC_START = 6


class WrittenBatch(NamedTuple):
    """A batch of a producer that is in the log."""

    last_sequence: int
    last_offset: int
    offset_delta: int  # last minus first: of the offsets, and of the sequence numbers
    timestamp_ms: int

    @property
    def base_offset(self) -> int:
        """The offset of its first record."""
        return self.last_offset - self.offset_delta


class Producer:
    """One producer id: its current epoch and its last batches."""

    __slots__ = ("batches", "epoch", "idle_since_ms")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.idle_since_ms: int | None = None  # None: it has written since we last looked
        self.batches: deque[WrittenBatch] = deque(maxlen=REMEMBERED_BATCHES)


class ProducerStates:
    """All producers of one partition. Not thread-safe: the partition's lock protects it."""

    def __init__(self) -> None:
        self.producers: dict[int, Producer] = {}
        self._last_expiry_ms = 0

    def duplicate_of(self, header: BatchHeader) -> WrittenBatch | None:
        """The batch in the log that this one repeats; None when it is the producer's next.

        Raises InvalidProducerEpoch (a newer incarnation of the producer has written),
        OutOfOrderSequenceNumber.
        """
        producer = self.producers.get(header.producer_id)
        if producer is None:
            return None  # its records may be deleted by now: any sequence number may come next
        if header.producer_epoch != producer.epoch:
            _check_new_epoch(header, producer)
            return None
        for batch in producer.batches:
            same_end = batch.last_sequence == header.last_sequence
            if same_end and batch.offset_delta == header.last_offset_delta:
                return batch
        last_sequence = producer.batches[-1].last_sequence
        if header.base_sequence != (last_sequence + 1) & _MAX_SEQUENCE:
            raise OutOfOrderSequenceNumber(
                f"producer {header.producer_id} sent sequence {header.base_sequence}, "
                f"{(last_sequence + 1) & _MAX_SEQUENCE} was to come"
            )
        return None

    def add(self, header: BatchHeader, last_offset: int, timestamp_ms: int) -> None:
        """Remember a batch that was written."""
        producer = self.producers.get(header.producer_id)
        if producer is None or producer.epoch != header.producer_epoch:
            producer = self.producers[header.producer_id] = Producer(header.producer_epoch)
        producer.idle_since_ms = None
        producer.batches.append(
            WrittenBatch(header.last_sequence, last_offset, header.last_offset_delta, timestamp_ms)
        )

    def replay(self, header: BatchHeader) -> None:
        """Remember a batch that is found in the log. Transaction markers are no batches of the
        producer's.
        """
        if header.producer_id != NO_PRODUCER_ID and not header.is_control:
            known = self.producers.get(header.producer_id)
            if known is not None and not _follows(header, known):
                # Compaction took what was between; or the id had two owners, and a batch of the
                # first must not be taken for the second's.
                known.batches.clear()
            self.add(header, header.last_offset, header.max_timestamp_ms)

    def expire(self, now_ms: int) -> None:
        """Forget the producers that have not written for a day.

        By our own clock. Kafka goes by the records' timestamps, and so forgets a producer at once
        that replays last year's events.
        """
        if now_ms - self._last_expiry_ms < EXPIRY_INTERVAL_MS:
            return
        self._last_expiry_ms = now_ms
        for producer_id, producer in list(self.producers.items()):
            if producer.idle_since_ms is None:
                producer.idle_since_ms = now_ms
            elif now_ms - producer.idle_since_ms >= EXPIRATION_MS:
                del self.producers[producer_id]

    def to_snapshot(self) -> bytes:
        """The content of a `.snapshot` file."""
        entries = b"".join(_pack_entries(self.producers))
        counted = struct.pack(">i", len(self.producers)) + entries
        return struct.pack(">hI", _VERSION, crc32c(counted)) + counted

    @classmethod
    def from_snapshot(cls, content: bytes) -> ProducerStates:
        """The state in a `.snapshot` file. Raises ValueError, with the position, when it is
        damaged.
        """
        if len(content) < _HEADER.size:
            raise ValueError(f"{len(content)} bytes are too few for a header of {_HEADER.size}")
        version, crc, count = _HEADER.unpack_from(content)
        if version != _VERSION:
            raise ValueError(f"version {version} at position 0, only {_VERSION} is known")
        if crc32c(content[_CRC_START:]) != crc:
            raise ValueError(f"the CRC at position 2 is {crc:#010x}, the bytes' own is different")
        if len(content) != _HEADER.size + count * _ENTRY.size:
            raise ValueError(f"{count} producers at position 6 do not make {len(content)} bytes")
        states = cls()
        for producer_id, epoch, *batch, _, _ in _ENTRY.iter_unpack(content[_HEADER.size :]):
            producer = states.producers[producer_id] = Producer(epoch)
            producer.batches.append(WrittenBatch(*batch))
        return states


def _follows(header: BatchHeader, producer: Producer) -> bool:
    return header.base_sequence == (producer.batches[-1].last_sequence + 1) & _MAX_SEQUENCE


def _check_new_epoch(header: BatchHeader, producer: Producer) -> None:
    if header.producer_epoch < producer.epoch:
        raise InvalidProducerEpoch(
            f"producer {header.producer_id} wrote with epoch {header.producer_epoch}, "
            f"epoch {producer.epoch} has taken over"
        )
    if header.base_sequence != 0:
        raise OutOfOrderSequenceNumber(
            f"producer {header.producer_id} begins epoch {header.producer_epoch} "
            f"with sequence {header.base_sequence} instead of 0"
        )


def _pack_entries(producers: dict[int, Producer]) -> Iterator[bytes]:
    for producer_id, producer in sorted(producers.items()):
        yield _ENTRY.pack(producer_id, producer.epoch, *producer.batches[-1], -1, -1)
