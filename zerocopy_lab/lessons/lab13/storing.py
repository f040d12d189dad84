"""Lab 13, the widget: what a topic's settings make of a batch, sent to the broker that is asked."""

from __future__ import annotations

import time

from zerocopy_lab.client.consumer import fetch
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.lessons.lab13.two_brokers import Broker, TwoBrokers
from zerocopy_lab.pictures.byte_map import byte_map
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.records.batch import HEADER_BYTES
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.fields import header_fields
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.passing_topic import a_topic


def stored(broker: Broker, codec: str, compression: str, clock: str) -> tuple[bytes, bytes]:
    """A batch as it was sent to a topic with these settings, and as a consumer gets it."""
    settings = {"compression.type": compression, "message.timestamp.type": clock}
    events = list(flight_events.repeated(5))
    with a_topic(broker, settings) as topic, Wire(broker.host, broker.port) as wire:
        records = [
            Record(n, int(time.time() * 1000), None, event) for n, event in enumerate(events)
        ]
        sent = build_batch(records, codec=Codec[codec.upper()])
        error, offset = produce(wire, topic, 0, sent)
        if error:
            raise RuntimeError(f"the batch was refused: Kafka's error {error}")
        return sent, fetch(wire, topic, 0, offset).records


def changed_fields(sent: bytes, came: bytes) -> list[str]:
    """The header's fields that differ, its place apart, and the records if they do."""
    before, after = header_fields(memoryview(sent)), header_fields(memoryview(came))
    names = [
        one.name
        for one, other in zip(before, after, strict=True)
        if one.value != other.value and one.name not in ("baseOffset", "partitionLeaderEpoch")
    ]
    return names + (["records"] if sent[HEADER_BYTES:] != came[HEADER_BYTES:] else [])


class Storing:
    """Draws and tells what a topic's settings make of a batch; asks once for each setting."""

    def __init__(self, two: TwoBrokers) -> None:
        self._two = two
        self._seen: dict[tuple[str, str, str], tuple[bytes, bytes]] = {}

    def _ask(self, codec: str, compression: str, clock: str) -> tuple[bytes, bytes]:
        setting = (codec, compression, clock)
        if setting not in self._seen:
            self._seen[setting] = stored(self._two.asked, *setting)
        return self._seen[setting]

    def picture(self, codec: str, compression: str, clock: str) -> Picture:
        """The header that the consumer got."""
        _, came = self._ask(codec, compression, clock)
        return byte_map(
            came[: HEADER_BYTES + 32],
            header_fields(memoryview(came)),
            first_position=0,
            origin=Origin("COUNTED", f"a batch fetched from {self._two.asked_name}"),
            title=f"Sent with codec {codec} to compression.type={compression}, {clock}",
        )

    def words(self, codec: str, compression: str, clock: str) -> str:
        """What is another than in what was sent."""
        sent, came = self._ask(codec, compression, clock)
        changed = changed_fields(sent, came)
        setting = f"compression.type={compression}, message.timestamp.type={clock}"
        if not changed:
            return f"{setting}, a batch with codec {codec}: as it was sent, its place apart."
        return (
            f"{setting}, a batch with codec {codec} ({len(sent)} bytes): {len(came)} bytes came, "
            f"and of others than were sent are {', '.join(changed)}."
        )
