"""Producers that live through the death of their broker, and remember what they were told.

A writer keeps up to five batches on their way, as real producers do, and notes in the ledger what
is acknowledged. When the broker dies, some batches have no answer. An idempotent writer sends them
again to the next broker, with the same sequence numbers: they must end up in the log once,
whether the first attempt was stored or not. The other kind lets them go: stored or not, both are
right, but not twice. The same with batches that are refused while the broker's disk is tortured.
"""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from datetime import timedelta
from typing import NamedTuple

from ci.torture.ledger import Item, Ledger, Wrong
from zerocopy_lab.client.producer import VERSION, produce_frame
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.errors import (
    DuplicateSequenceNumber,
    KafkaStorageError,
    OutOfOrderSequenceNumber,
)
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import Record, build_batch

MOST_ON_THE_WAY = 5
PAUSE_S = 0.02  # before what was refused is sent again
_LONG_VALUE_BYTES = 30_000  # makes batches that take many pages: a kill may cut the write of one
_INIT_PRODUCER_ID_VERSION = 4


class _Sent(NamedTuple):
    batch: bytes
    items: list[Item]


class Writer:
    """One producer of one partition; `run` it against one broker after the other."""

    def __init__(
        self, name: str, topic: str, ledger: Ledger, *, idempotent: bool, keys: int, seed: str
    ) -> None:
        self.name = name
        self.topic = topic
        self.ledger = ledger
        self.figures: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self._idempotent = idempotent
        self._keys = keys
        self._random = random.Random(f"{seed} {name}")
        self.producer_id: int | None = None
        self._numbers = 0  # records so far; of an idempotent writer also the next sequence number
        self._unanswered: deque[_Sent] = deque()
        self._refused: deque[_Sent] = deque()  # to be sent again

    def run(self, port: int, stop: threading.Event, *, may_be_refused: bool = False) -> None:
        """Writes until it shall stop, or the broker is gone. What else goes wrong is in `failure`
        afterwards, and so is a refusal that may not be.
        """
        try:
            with Wire("127.0.0.1", port) as wire:
                self._write(wire, stop, may_be_refused)
        except ConnectionError:
            pass  # the broker was killed: that is what this is about
        except BaseException as error:
            self.failure = error

    def _write(self, wire: Wire, stop: threading.Event, may_be_refused: bool) -> None:
        while self._idempotent and self.producer_id is None:
            error_code, producer_id = _new_producer_id(wire)
            if error_code == 0:
                self.producer_id = producer_id
            elif not may_be_refused:
                raise Wrong(f"{self.name} gets no producer id: error {error_code}")
            elif stop.wait(PAUSE_S):
                return
        if not self._idempotent:
            self.figures["batches without an answer"] += len(self._unanswered)
            self._unanswered.clear()
        self._send_again(wire)
        while not stop.is_set():
            while not self._refused and len(self._unanswered) < self._most_on_the_way():
                self._unanswered.append(self._next())  # first: the kill may come while it is sent
                wire.send_frame(produce_frame(wire, self.topic, 0, self._unanswered[-1].batch))
            self._take_answer(wire, may_be_refused)
            if self._refused and not self._unanswered:
                stop.wait(PAUSE_S)
                self._send_again(wire)
        while self._unanswered:
            self._take_answer(wire, may_be_refused)

    def _most_on_the_way(self) -> int:
        """One until the broker knows this producer: of a stranger it takes any sequence number, so
        the second batch would be let in after the first was refused, which then could not follow.
        """
        return MOST_ON_THE_WAY if self.figures["batches acknowledged"] else 1

    def _send_again(self, wire: Wire) -> None:
        """In order. A plain producer lets go of what it does not know the fate of."""
        again = [*self._refused, *self._unanswered] if self._idempotent else []
        again.sort(key=lambda sent: sent.items[0].number)
        self._refused.clear()
        self._unanswered = deque(again)
        self.figures["batches sent again"] += len(again)
        for sent in again:
            wire.send_frame(produce_frame(wire, self.topic, 0, sent.batch))

    def _take_answer(self, wire: Wire, may_be_refused: bool) -> None:
        _, response = messages.decode_response(ApiKey.produce, VERSION, wire.receive_frame())
        answer = response.responses[0].partition_responses[0]
        sent = self._unanswered.popleft()
        error_code = int(answer.error_code)
        if error_code == DuplicateSequenceNumber.code:
            self.figures["duplicates whose offset is forgotten"] += 1
            return  # it is in the log; where, the broker cannot say any more
        if error_code == KafkaStorageError.code and may_be_refused:
            self.figures["batches refused by a failing disk"] += 1
            self._refused.append(sent)
            return
        if error_code == OutOfOrderSequenceNumber.code and self._refused:
            self._refused.append(sent)  # the one before was refused
            return
        if error_code != 0:
            raise Wrong(f"{self.name} got error {error_code} for {sent.items[0]}")
        if answer.base_offset < self.ledger.seen_end:
            self.figures["duplicates recognised"] += 1
        self.figures["batches acknowledged"] += 1
        self.figures["records acknowledged"] += len(sent.items)
        self.ledger.acknowledge(answer.base_offset, sent.items)

    def _next(self) -> _Sent:
        records = [self._record(delta) for delta in range(self._random.randint(1, 8))]
        producer = self.producer_id if self.producer_id is not None else -1
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


def _new_producer_id(wire: Wire) -> tuple[int, int]:
    """Error code, id."""
    answer = wire.ask(
        ApiKey.init_producer_id,
        _INIT_PRODUCER_ID_VERSION,
        transactional_id=None,
        transaction_timeout=timedelta(minutes=1),
        producer_id=-1,
        producer_epoch=-1,
    )
    return int(answer.error_code), int(answer.producer_id)
