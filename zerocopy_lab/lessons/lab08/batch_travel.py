"""A batch on its way: what a producer sent, what lies in the segment, what a consumer gets.

Batches are made by this kit and by librdkafka, whose requests are overheard before any broker has
touched them; each is sent as it is to the broker that is asked. Nothing is decoded on the way.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from crc32c import crc32c

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.client.consumer import fetch
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.errors import CorruptMessage
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.protocol.produce import read_produce_request
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.batch import iterate_headers, read_header
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.broker_thread import BrokerThread
from zerocopy_lab.running.existing_cluster import AnyBroker, ExistingCluster
from zerocopy_lab.running.passing_topic import served_topic

BROKERS_BYTES = frozenset((*range(8), *range(12, 16)))
"""Base offset and leader epoch: the two fields that are the broker's."""

_FLEXIBLE_FROM = 9


class Travelled(NamedTuple):
    """One batch at three places. `stored` None: the broker's files cannot be seen."""

    name: str
    sent: bytes
    stored: bytes | None
    fetched: bytes

    @property
    def changed(self) -> tuple[int, ...]:
        """Positions of bytes that are others than those sent; what was added or lost counts."""
        came = [each for each in (self.stored, self.fetched) if each is not None]
        return tuple(
            at
            for at in range(max(map(len, (self.sent, *came))))
            if any(each[at : at + 1] != self.sent[at : at + 1] for each in came)
        )

    @property
    def is_as_sent(self) -> bool:
        """But for the broker's own two fields."""
        return set(self.changed) <= BROKERS_BYTES

    @property
    def digests(self) -> tuple[str, str]:
        """The sha-256 of what the producer wrote, as it was sent and as it came to the consumer."""
        sent, came = self.sent, self.fetched
        parts = [each[8:12] + each[16:] for each in (sent, came)]
        return hashlib.sha256(parts[0]).hexdigest(), hashlib.sha256(parts[1]).hexdigest()


def flights(lab: Lab, count: int = 400) -> list[Record]:
    """Records with a key and a flight each, drawn from the seed."""
    events = flight_events.flight_events()
    first = lab.random("flights").randrange(len(events) - count)
    now_ms = time.time_ns() // 1_000_000
    return [
        Record(at, now_ms, b"%d" % (first + at), event)
        for at, event in enumerate(events[first : first + count])
    ]


def packed_by_us(lab: Lab) -> dict[str, bytes]:
    """A batch in each codec, by this kit's producer."""
    records = flights(lab)
    return {f"this kit, {c.name.lower()}": build_batch(records, codec=c) for c in Codec}


def packed_by_librdkafka(lab: Lab) -> dict[str, bytes]:
    """A batch in each codec as librdkafka sends it: overheard on its way to a broker."""
    events = [record.value or b"" for record in flights(lab)]
    heard: dict[str, bytes] = {}
    for codec in Codec:
        name = codec.name.lower()
        requests: list[bytes] = []
        with BrokerThread(overhears=requests.append) as listener:
            settings = {"compression.type": name, "linger.ms": 200}
            flight_events.produce(listener.bootstrap, "overheard", events, settings)
        batches = [batch for frame in requests for batch in batches_of(frame)]
        heard[f"librdkafka, {name}"] = max(batches, key=len)
    return heard


def batches_of(frame: bytes) -> list[bytes]:
    """The batches in a request, if it is a Produce: copied out, nothing else looked at."""
    api_key, version, _, client_id_bytes = struct.unpack_from(">hhih", frame)
    if api_key != ApiKey.produce:
        return []
    body_at = 10 + max(client_id_bytes, 0) + (version >= _FLEXIBLE_FROM)
    wanted = read_produce_request(memoryview(frame), body_at, version, 100)
    return [bytes(each.records) for each in wanted.partitions if each.records is not None]


def new_topic(broker: AnyBroker, topic: str, settings: Mapping[str, str] | None = None) -> str:
    """Creates a topic that is served, and returns its name: on a cluster that was there before, one
    that nobody has. Raises NotDelivered.
    """
    if isinstance(broker, ExistingCluster):
        topic = f"{topic}-{secrets.token_hex(4)}"
    served_topic(broker, topic, settings)
    return topic


def travel(broker: AnyBroker, batches: dict[str, bytes], topic: str) -> list[Travelled]:
    """Sends each batch to one topic, behind the others, and gets it back from file and network."""
    topic = new_topic(broker, topic)
    with Wire(broker.host, broker.port) as wire:
        send(wire, topic, next(iter(batches.values())))  # so that no base offset is 0
        return [_travel_one(broker, wire, topic, name, batches[name]) for name in batches]


def send(wire: Wire, topic: str, batch: bytes) -> int:
    """Produces one batch; its base offset. Raises NotDelivered."""
    code, base_offset = produce(wire, topic, 0, batch)
    if code:
        raise flight_events.NotDelivered(f"{topic}: a batch was answered with error {code}")
    return base_offset


def _travel_one(broker: AnyBroker, wire: Wire, topic: str, name: str, batch: bytes) -> Travelled:
    base_offset = send(wire, topic, batch)
    fetched = fetch(wire, topic, 0, base_offset).records
    return Travelled(
        name, batch, stored_at(broker, topic, base_offset), _batch_at(fetched, base_offset)
    )


def stored_at(broker: AnyBroker, topic: str, base_offset: int) -> bytes | None:
    """The bytes of a batch in the broker's segment; None where its files cannot be seen."""
    try:
        segment = broker.data_dir / f"{topic}-0" / f"{0:020d}.log"
    except Unavailable:
        return None
    return _batch_at(segment.read_bytes(), base_offset)


def _batch_at(octets: bytes, base_offset: int) -> bytes:
    for position, header in iterate_headers(memoryview(octets), may_be_cut=True):
        if header.base_offset == base_offset:
            return octets[position : position + header.total_bytes]
    raise CorruptMessage(f"no batch begins at offset {base_offset}")


class Lie(NamedTuple):
    """A codec, and how the broker answered an honest batch and one that announces a record more
    than it holds: Kafka's error codes, 0 for accepted.
    """

    codec: str
    honest_code: int
    lying_code: int


def lying(batch: bytes) -> bytes:
    """The batch with one record more announced than is inside; header and CRC agree with it."""
    says, lies = read_header(memoryview(batch)).records_count + 1, bytearray(batch)
    struct.pack_into(">i", lies, 23, says - 1)
    struct.pack_into(">i", lies, 57, says)
    struct.pack_into(">I", lies, 17, crc32c(memoryview(lies)[21:]))
    return bytes(lies)


def ask_with_lies(broker: AnyBroker, lab: Lab, topic: str = "lies") -> Sequence[Lie]:
    """An honest and a lying batch in each codec, each over a connection of its own."""
    topic = new_topic(broker, topic)
    answers = []
    for codec in Codec:
        honest = build_batch(flights(lab, 5), codec=codec)
        codes = []
        for batch in (honest, lying(honest)):
            with Wire(broker.host, broker.port) as wire:
                codes.append(produce(wire, topic, 0, batch)[0])
        answers.append(Lie(codec.name.lower(), *codes))
    return answers
