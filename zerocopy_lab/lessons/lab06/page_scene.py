"""Lab 06, three at one log: a producer writes, a tail reader follows, a late reader catches up,
and all the while somebody looks which pages of which segment are in memory.

| second           | what happens                                                                  |
|------------------|-------------------------------------------------------------------------------|
| before the first | a history of small segments is written: in memory and flushed                 |
| 0                | the producer goes on, the tail reader begins at the end; each is a thread     |
| `evict_at_s`     | the history's segments are put out of memory                                  |
| `late_at_s`      | the late reader begins at offset 0                                            |
| `seconds`        | all stop                                                                      |

All three are real clients of a running broker, at a topic of their own. What is left out: memory
that is really scarce. Then the kernel evicts old pages by itself; here we do it for the kernel.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, count, islice
from typing import Final, NamedTuple

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.instruments.block_io import process_block_io
from zerocopy_lab.instruments.eviction import NotEvicted
from zerocopy_lab.instruments.page_residency import PAGE_BYTES, PageMap, page_map
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring.fetching import evict_when_let_go, segments_of
from zerocopy_lab.pictures.memory_over_time import Moment
from zerocopy_lab.pictures.pages_over_time import Look
from zerocopy_lab.pictures.residency_map import PageCell
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.topic_admin import create_topic, delete_topic

WHO: Final = ("producer: the log's end", "tail reader", "late reader")
_PRODUCER, _TAIL, _LATE = range(3)
EVICTED, LATE, CAUGHT_UP = "old segments evicted", "late reader begins", "caught up"
CELL_PAGES: Final = 16
_SEGMENT_BYTES: Final = 1 << 20
_BYTES_PER_MESSAGE: Final = 200

_SMALL_BATCHES: Final = {"batch.size": 16 << 10}
"""As Kafka's own producer has them; librdkafka's default would fill a segment with one batch."""

_LITTLE_AHEAD: Final = {
    "queued.min.messages": 1,
    "queued.max.messages.kbytes": 128,
    "fetch.message.max.bytes": 64 << 10,
    "fetch.queue.backoff.ms": 5,
}
"""So that a reader's place is where the broker reads: librdkafka likes to be 64 MiB ahead."""

_topics = (f"pages-{number}" for number in count(1))


class Script(NamedTuple):
    """What happens when, and how many messages of about 200 bytes go through."""

    seconds: float
    history_messages: int
    written_per_s: int
    read_late_per_s: int
    evict_at_s: float
    late_at_s: float
    look_every_s: float

    @property
    def most_bytes(self) -> int:
        """About how long the log becomes."""
        messages = self.history_messages + self.written_per_s * self.seconds
        return int(messages * _BYTES_PER_MESSAGE)


FAST: Final = Script(4.5, 44_000, 3_500, 21_000, 0.5, 1.0, 0.07)
FULL: Final = Script(12.0, 88_000, 3_500, 18_000, 1.5, 3.0, 0.15)


@dataclass
class Scene:
    """What has been seen; it grows while the three are at work."""

    script: Script
    looks: list[Look] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    """where segments begin, in bytes"""
    moments: list[Moment] = field(default_factory=list)
    device_bytes: tuple[int, int] | None = None
    """what the broker had read from the device before the late reader came, and since"""
    tells_dirty: bool = True
    """whether this machine knows which pages are dirty"""


def play(
    broker: RunningBroker, lab: Lab, seen: Callable[[Scene], None] | None = None
) -> Scene | str:
    """Lets the three work and looks on; or why pages cannot be seen or evicted here.

    `seen` is told now and then what there is so far. Raises NotDelivered, KafkaException.
    """
    try:
        with _stage(broker, FAST if lab.fast else FULL) as stage:
            return stage.play(seen)
    except (NotEvicted, Unavailable) as reason:
        return str(reason)


@contextmanager
def _stage(broker: RunningBroker, script: Script) -> Iterator[_Stage]:
    """A topic with a history in small segments; deleted afterwards."""
    topic = next(_topics)
    create_topic(broker.bootstrap, topic, settings={"segment.bytes": str(_SEGMENT_BYTES)})
    try:
        events = flight_events.repeated(script.history_messages)
        flight_events.produce(broker.bootstrap, topic, events, _SMALL_BATCHES)
        stage = _Stage(broker, topic, script)
        stage.warm_up()
        yield stage
    finally:
        delete_topic(broker.bootstrap, topic)


class _Stage:
    """Everybody's place, who is at work, and the one who looks."""

    def __init__(self, broker: RunningBroker, topic: str, script: Script) -> None:
        self._broker, self._topic, self._script = broker, topic, script
        self._history = segments_of(broker.data_dir, topic)[:-1]
        end = script.history_messages
        self._offsets: list[int | None] = [end, end, None]
        self._scene = Scene(script)
        self._over = threading.Event()

    def warm_up(self) -> None:
        """The old segments in memory and clean. Raises NotEvicted, Unavailable."""
        for segment in self._history:
            evict_when_let_go(segment)  # flushes it, and proves that it can be done here
            segment.read_bytes()

    def play(self, seen: Callable[[Scene], None] | None) -> Scene:
        """All at once until the time is over, or until one of them fails."""
        roles = (self._look_on, self._write, self._follow, self._catch_up)
        self._began_s = time.monotonic()
        with ThreadPoolExecutor(len(roles)) as pool:
            actors = [pool.submit(role) for role in roles]
            try:
                while not self._is_over(actors, every_s=0.25):
                    if seen is not None:
                        seen(self._scene)
            finally:
                self._over.set()
        for actor in actors:
            actor.result()
        return self._scene

    def _is_over(self, actors: list[Future[None]], every_s: float) -> bool:
        """After a short wait: whether the time is over, or somebody has failed."""
        left_s = self._script.seconds - self._now_s()
        wait(actors, timeout=max(0.0, min(every_s, left_s)), return_when=FIRST_EXCEPTION)
        return self._now_s() >= self._script.seconds or any(actor.done() for actor in actors)

    def _now_s(self) -> float:
        return time.monotonic() - self._began_s

    # -- who writes and reads ----------------------------------------------------------------------

    def _write(self) -> None:
        config = {**_SMALL_BATCHES, "linger.ms": 5}
        flight_events.produce(self._broker.bootstrap, self._topic, self._paced_events(), config)

    def _paced_events(self) -> Iterator[bytes]:
        """Events at the script's rate, in small bursts, until all is over."""
        events, sent = flight_events.repeated(1 << 62), 0
        while not self._over.wait(0.02):
            due = int(self._script.written_per_s * self._now_s()) - sent
            yield from islice(events, due)
            sent += due
            self._offsets[_PRODUCER] = self._script.history_messages + sent

    def _follow(self) -> None:
        """The tail reader, from the end of the history on."""
        self._read(_TAIL, self._script.history_messages, lambda: 1000)

    def _catch_up(self) -> None:
        """The late reader, once the old segments are out of memory."""
        device_bytes = partial(_device_bytes, self._broker.pid)
        before = device_bytes()
        self._wait_until(self._script.evict_at_s)
        for segment in self._history:
            evict_when_let_go(segment)
        self._note(EVICTED)
        self._wait_until(self._script.late_at_s)
        began = device_bytes()
        self._note(LATE)
        self._read(_LATE, 0, self._due_to_late_reader)
        if before is not None and began is not None:
            self._scene.device_bytes = (began - before, (device_bytes() or 0) - began)

    def _due_to_late_reader(self) -> int:
        """How many messages it may ask for now, so that one can watch it."""
        read, end = self._offsets[_LATE] or 0, self._offsets[_TAIL] or 0
        if read >= end and self._scene.moments[-1].what != CAUGHT_UP:
            self._note(CAUGHT_UP)
        late_s = self._now_s() - self._script.late_at_s
        return min(1000, int(self._script.read_late_per_s * late_s) - read)

    def _read(self, who: int, from_offset: int, due: Callable[[], int]) -> None:
        """Consumes what is due, again and again, until all is over."""
        with closing(
            flight_events.assigned_consumer(
                self._broker.bootstrap, self._topic, from_offset, _LITTLE_AHEAD
            )
        ) as consumer:
            while not self._over.is_set():
                if (most := due()) <= 0:
                    self._over.wait(0.01)
                    continue
                for message in consumer.consume(most, 0.02):
                    if message.error():
                        raise flight_events.NotDelivered(f"{WHO[who]}: {message.error()}")
                    self._offsets[who] = message.offset() + 1

    def _wait_until(self, at_s: float) -> None:
        self._over.wait(at_s - self._now_s())

    def _note(self, what: str) -> None:
        self._scene.moments.append(Moment(self._now_s(), what))

    # -- who looks ---------------------------------------------------------------------------------

    def _look_on(self) -> None:
        while not self._over.is_set():
            self._look()
            self._over.wait(self._script.look_every_s)

    def _look(self) -> None:
        """One look at every segment: its pages, and who is where in it."""
        at_s, offsets = self._now_s(), tuple(self._offsets)
        segments = segments_of(self._broker.data_dir, self._topic)
        maps = [page_map(segment) for segment in segments]
        starts = [0, *accumulate(len(each.resident) * PAGE_BYTES for each in maps)]
        bases = [int(segment.stem) for segment in segments]
        ends = [*bases, max(offsets[_PRODUCER] or 0, bases[-1] + 1)]
        places = [None if at is None else _position(at, ends, starts) for at in offsets[1:]]
        self._scene.tells_dirty = all(each.dirty is not None for each in maps)
        self._scene.starts = starts[:-1]
        self._scene.looks.append(Look(at_s, cells_of(maps), (starts[-1], *places)))


def _position(offset: int, ends: list[int], starts: list[int]) -> int:
    """Where an offset lies in the log: exact where segments begin, in proportion between."""
    at = min(bisect_right(ends, offset), len(ends) - 1) - 1
    share = (offset - ends[at]) / (ends[at + 1] - ends[at])
    return int(starts[at] + min(1.0, share) * (starts[at + 1] - starts[at]))


def cells_of(maps: Sequence[PageMap]) -> tuple[PageCell, ...]:
    """The pages of all segments, one after the other, CELL_PAGES to a cell."""
    resident = b"".join(each.resident for each in maps)
    dirty = b"".join(each.dirty or bytes(len(each.resident)) for each in maps)
    cells = []
    for first in range(0, len(resident), CELL_PAGES):
        end = min(first + CELL_PAGES, len(resident))
        counts = resident.count(1, first, end), dirty.count(1, first, end)
        cells.append(PageCell(end - first, *counts))
    return tuple(cells)


def _device_bytes(pid: int) -> int | None:
    """What a process has had read from devices so far; None where nobody counts it."""
    with suppress(Unavailable):
        return process_block_io(pid).read_bytes
    return None
