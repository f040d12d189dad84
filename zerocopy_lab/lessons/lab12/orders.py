"""What the loads of lab 12 are told and tell, their batches and meters, and what takes the page
cache away.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Final, Literal, NamedTuple

from zerocopy_lab.instruments.processor import ProcessorUse, processor_use
from zerocopy_lab.lessons.lab12.rungs import WayToAsk
from zerocopy_lab.measuring.fetching import evict_when_let_go, segments_of
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running import flight_events

Client = Literal["ours", "librdkafka"]
CLIENTS: Final[tuple[Client, ...]] = ("ours", "librdkafka")
BATCH_BYTES: Final = 400_000
"""Of ours; librdkafka fills up to 1 MB."""
_EVICT_BEHIND: Final = Path(__file__).with_name("evict_behind.py")  # needs nothing of the package
TIMEOUT_S: Final = 60.0


class SeenBroker(NamedTuple):
    """Where a broker is, and what can be seen of it: None where it runs elsewhere."""

    host: str
    port: int
    tls_port: int | None = None
    pem: str | None = None
    pid: int | None = None
    data_dir: str | None = None

    def bootstrap(self, way: WayToAsk) -> str:
        """Of the listener that the way asks for."""
        return f"{self.host}:{self.tls_port if way.tls else self.port}"

    def client_settings(self, way: WayToAsk) -> dict[str, str]:
        """Librdkafka's."""
        return {"security.protocol": "ssl", "ssl.ca.location": str(self.pem)} if way.tls else {}


class LoadOrder(NamedTuple):
    """What to ask of whom, how much of it."""

    broker: SeenBroker
    client: Client
    topic: str
    way: WayToAsk
    message_bytes: int
    messages: int
    log_messages: int = 0
    """as many are in the topic that is consumed"""


class LoadRun(NamedTuple):
    """What a run took. `broker`, `client`: processor time; the broker's is None when unseen."""

    messages: int
    wall_s: float
    broker: ProcessorUse | None
    client: ProcessorUse


def events_of(message_bytes: int, count: int) -> list[bytes]:
    """Flight events, cut or put together to exactly so many bytes."""
    joined = b"".join(flight_events.flight_events()[: 4000 + message_bytes])
    places = range(0, len(joined) - message_bytes, message_bytes)
    return [joined[at : at + message_bytes] for at in islice(cycle(places), count)]


@cache
def batch_for(message_bytes: int, codec: str, batched: bool) -> tuple[bytes, int]:
    """One batch as a producer sends it, and how many messages are in it."""
    count = max(1, BATCH_BYTES // message_bytes) if batched else 1
    now_ms = int(time.time() * 1000)
    values = enumerate(events_of(message_bytes, count))
    records = [Record(number, now_ms, None, value) for number, value in values]
    return build_batch(records, codec=Codec[codec.upper()]), count


class Meter:
    """Clocks of the wall, of the broker and of this process, from now on."""

    def __init__(self, broker_pid: int | None) -> None:
        self._pid = broker_pid
        self._broker = processor_use(broker_pid) if broker_pid else None
        self._client = _own_use()
        self._began = time.perf_counter()

    def ran(self, messages: int) -> LoadRun:
        """What they say now, after so many messages."""
        wall_s = time.perf_counter() - self._began
        client = _own_use().since(self._client)
        broker = processor_use(self._pid).since(self._broker) if self._broker else None
        return LoadRun(messages, wall_s, broker, client)


def _own_use() -> ProcessorUse:
    """Of this process, user and system to the microsecond."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = processor_use()
    return used._replace(user_s=usage.ru_utime, system_s=usage.ru_stime)


def evict(order: LoadOrder) -> None:
    """Before somebody consumes: nothing of the log is in memory. Raises NotEvicted."""
    if order.way.evicts:
        for segment in _segments(order):
            evict_when_let_go(segment)


def _segments(order: LoadOrder) -> list[Path]:
    assert order.broker.data_dir is not None, "ways that evict are left out where no files are seen"
    return segments_of(Path(order.broker.data_dir), order.topic)


@contextmanager
def evicting(order: LoadOrder) -> Iterator[None]:
    """While somebody produces: another process that forces out of memory what has been written."""
    if not order.way.evicts:
        yield
        return
    command = [sys.executable, "-I", str(_EVICT_BEHIND), *map(str, _segments(order))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()  # "ready"
        try:
            yield
        finally:
            process.stdin.close()  # which ends it
