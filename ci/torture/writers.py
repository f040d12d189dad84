"""Producers that live through the death of their broker, and remember what they were told.

A writer keeps up to five batches on their way, as real producers do, and notes in the ledger what
is acknowledged. When the broker dies, some batches have no answer. An idempotent writer sends them
again to the next broker, with the same sequence numbers: they must end up in the log once,
whether the first attempt was stored or not. The other kind lets them go: stored or not, both are
right, but not twice.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from datetime import timedelta
from typing import NamedTuple

from ci.torture.ledger import Item, Ledger, Wrong
from zerocopy_lab.client.producer import VERSION, produce_frame
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.errors import DuplicateSequenceNumber
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import Record, build_batch

MOST_ON_THE_WAY = 5
_LONG_VALUE_BYTES = 30_000  # makes batches that take many pages: a kill may cut the write of one
_INIT_PRODUCER_ID_VERSION = 4


class _Sent(NamedTuple):
    batch: bytes
    items: list[Item]


class Writer:
    """One producer of one partition; `run` it against one broker after the other."""

    def __init__(
        self, name: str, topic: str, ledger: Ledger, *, idempotent: bool, keys: int, seed: int
    ) -> None:
        self.name = name
        self.topic = topic
        self.ledger = ledger
        self.figures: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self._idempotent = idempotent
        self._keys = keys
        self._random = random.Random(f"{seed} {name}")
        self._producer_id: int | None = None
        self._numbers = 0  # records so far; of an idempotent writer also the next sequence number
        self._unanswered: deque[_Sent] = deque()

    def run(self, port: int) -> None:
        """Writes until the broker is gone. What else goes wrong is in `failure` afterwards."""
        try:
            with Wire("127.0.0.1", port) as wire:
                self._write(wire)
        except ConnectionError:
            pass  # the broker was killed: that is what this is about
        except BaseException as error:
            self.failure = error

    def _write(self, wire: Wire) -> None:
        if self._idempotent and self._producer_id is None:
            self._producer_id = _new_producer_id(wire)
        if not self._idempotent:
            self.figures["batches without an answer"] += len(self._unanswered)
            self._unanswered.clear()
        self.figures["batches sent again"] += len(self._unanswered)
        for sent in self._unanswered:
            wire.send_frame(produce_frame(wire, self.topic, 0, sent.batch))
        while True:
            while len(self._unanswered) < MOST_ON_THE_WAY:
                self._unanswered.append(self._next())  # first: the kill may come while it is sent
                wire.send_frame(produce_frame(wire, self.topic, 0, self._unanswered[-1].batch))
            self._take_answer(wire)

    def _take_answer(self, wire: Wire) -> None:
        _, response = messages.decode_response(ApiKey.produce, VERSION, wire.receive_frame())
        answer = response.responses[0].partition_responses[0]
        sent = self._unanswered.popleft()
        if int(answer.error_code) == DuplicateSequenceNumber.code:
            self.figures["duplicates whose offset is forgotten"] += 1
            return  # it is in the log; where, the broker cannot say any more
        if int(answer.error_code) != 0:
            raise Wrong(f"{self.name} got error {answer.error_code!r} for {sent.items[0]}")
        if answer.base_offset < self.ledger.seen_end:
            self.figures["duplicates recognised"] += 1
        self.figures["batches acknowledged"] += 1
        self.figures["records acknowledged"] += len(sent.items)
        self.ledger.acknowledge(answer.base_offset, sent.items)

    def _next(self) -> _Sent:
        records = [self._record(delta) for delta in range(self._random.randint(1, 8))]
        producer = self._producer_id if self._producer_id is not None else -1
        batch = build_batch(
            records,
            codec=self._random.choice(list(Codec)),
            producer_id=producer,
            producer_epoch=0 if producer >= 0 else -1,
            base_sequence=self._numbers if producer >= 0 else -1,
        )
        items = [
            Item(self.name, self._numbers + delta, record.key)
            for delta, record in enumerate(records)
        ]
        self._numbers += len(records)
        return _Sent(batch, items)

    def _record(self, delta: int) -> Record:
        number = self._numbers + delta
        key = b"%d" % self._random.randrange(self._keys) if self._keys else None
        longest = _LONG_VALUE_BYTES if self._random.random() < 0.02 else 300
        value: bytes | None = self._random.randbytes(self._random.randrange(longest))
        if key is not None and self._random.random() < 0.1:
            value = None  # a tombstone
        return Record(delta, 1_700_000_000_000 + number, key, value, (("id", self._id(number)),))

    def _id(self, number: int) -> bytes:
        return f"{self.name}:{number}".encode()


def _new_producer_id(wire: Wire) -> int:
    answer = wire.ask(
        ApiKey.init_producer_id,
        _INIT_PRODUCER_ID_VERSION,
        transactional_id=None,
        transaction_timeout=timedelta(minutes=1),
        producer_id=-1,
        producer_epoch=-1,
    )
    return int(answer.producer_id)
