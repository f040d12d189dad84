"""The rungs of lab 12: what is taken away, and what stands in its place.

| mechanism | in its place | producing | consuming |
|---|---|---|---|
| compression | nothing (a client's default): batches as large as their messages | yes | yes |
| batching | a batch for each message; each fetch brings one message | yes | yes |
| page cache | what is written is forced out of memory; what is read is not in it | yes | yes |
| zero copy | `read_then_send`: a buffer, two copies | – | yes |
| untouched batches | `compression.type=lz4`: the broker opens and packs each batch | yes | – |
| sparse index | `index.interval.bytes` so large that there are no entries | – | who jumps |
| flushing later | `flush.messages=1`: an fsync for each batch | yes | – |
| plain sockets | TLS, which takes zero copy along | yes | yes |

Each is one setting of the broker, of a topic or of the client, so that what is raced is the broker
as it is in every other respect. "–": there it plays no part, by construction.

Left out: the reactor. A thread for each connection is as good for the one client here; what a
reactor is worth shows with thousands of them, on more processors than a laptop has.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Direction = Literal["produce", "consume"]
DIRECTIONS: Final[tuple[Direction, ...]] = ("produce", "consume")

NO_ENTRIES: Final = str((1 << 31) - 1)
NEVER: Final = str((1 << 63) - 1)
AS_IT_COMES: Final = {
    "compression.type": "producer",
    "flush.messages": NEVER,
    "flush.ms": NEVER,
    "index.interval.bytes": "4096",
    "message.timestamp.type": "CreateTime",
}
"""What the lab believes of a topic where a rung says nothing else (Kafka's defaults)."""

Settings = tuple[tuple[str, str], ...]


class WayToAsk(NamedTuple):
    """One way of asking: how it differs from the broker and the client as they come."""

    batched: bool = True
    codec: str = "none"
    topic: Settings = ()
    copies: bool = False
    """by a broker that has `read_then_send` in the place of sendfile"""
    tls: bool = False
    evicts: bool = False
    jumps: bool = False
    """each fetch somewhere else, one message each: who looks offsets up"""


class Mechanism(NamedTuple):
    """A mechanism, what stands in its place, and the ways without it; None where it plays no part.
    The ways *with* it are the broker as it comes, unless said otherwise.
    """

    name: str
    instead: str
    produce: WayToAsk | None = None
    consume: WayToAsk | None = None
    produce_with: WayToAsk = WayToAsk()
    consume_with: WayToAsk = WayToAsk()

    def ways(self, direction: Direction) -> tuple[WayToAsk, WayToAsk] | None:
        """With it and without."""
        without = self.produce if direction == "produce" else self.consume
        beside = self.produce_with if direction == "produce" else self.consume_with
        return None if without is None else (beside, without)


WHOLE: Final = WayToAsk()
COMPRESSION = "compression"
BATCHING, PAGE_CACHE, ZERO_COPY = "batching", "page cache", "zero copy"
UNTOUCHED, INDEX = "untouched batches", "sparse index"
NO_FLUSH, PLAIN, ALL = "flushing later", "plain sockets", "all of them"

_REPACKS: Settings = (("compression.type", "lz4"),)
_FLUSHES: Settings = (("flush.messages", "1"),)
_NO_INDEX: Settings = (("index.interval.bytes", NO_ENTRIES),)
_PACKED: Final = WayToAsk(codec="lz4")

RUNGS: Final = (
    Mechanism(COMPRESSION, "none", WHOLE, WHOLE, _PACKED, _PACKED),
    Mechanism(BATCHING, "one message at a time", WayToAsk(batched=False), WayToAsk(batched=False)),
    Mechanism(UNTOUCHED, "opened and packed again", WayToAsk(topic=_REPACKS)),
    Mechanism(NO_FLUSH, "an fsync a batch", WayToAsk(topic=_FLUSHES)),
    Mechanism(PLAIN, "TLS", WayToAsk(tls=True), WayToAsk(tls=True)),
    Mechanism(PAGE_CACHE, "forced out of memory", WayToAsk(evicts=True), WayToAsk(evicts=True)),
    Mechanism(ZERO_COPY, "read + send", None, WayToAsk(copies=True)),
    Mechanism(
        INDEX,
        "a scan, for who jumps",
        None,
        WayToAsk(batched=False, jumps=True, topic=_NO_INDEX),
        consume_with=WayToAsk(batched=False, jumps=True),
    ),
    Mechanism(
        ALL,
        "nothing left",
        WayToAsk(batched=False, topic=(*_REPACKS, *_FLUSHES), tls=True, evicts=True),
        WayToAsk(batched=False, topic=_NO_INDEX, tls=True, evicts=True),
    ),
)
CLAIMED: Final = (ZERO_COPY, PAGE_CACHE, BATCHING)
"""What the article names, and can be taken away: DMA cannot, over the loopback."""
NOT_IN_THE_SUM: Final = (COMPRESSION, INDEX, ALL)
"""Not there as it comes, asked in another way, or the sum itself."""
