"""A million real events through a broker made of the learner's parts: written by kcat, with a
kill -9 in the middle, followed by the learner's follower, and read again by kcat.

    events.jsonl --kcat -P, idempotent--> broker X broker again --> kcat -C --> sha256
                                                       `--> follower's copy

kcat ends well only when every event was acknowledged; so when what comes out is what went in, byte
for byte, nothing acknowledged was lost over the kill, and nothing stored twice. Where kcat is not
installed librdkafka, on which it rests, does the same from Python.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.client.accumulating import produce_accumulated
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.conformance.accumulator import WaitingRecord
from zerocopy_lab.conformance.seats import examined_or_ours
from zerocopy_lab.inspect.verification import verify
from zerocopy_lab.measuring.fetching import segments_of
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.apache_kafka import free_ports
from zerocopy_lab.running.flight_events import NotDelivered
from zerocopy_lab.running.follower import Follower
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.scratch import ScratchDirectory

TOPIC: Final = "flights"
_COLLECTED: Final = "collected"
_TIMEOUT_S: Final = 120.0
_LOOK_S: Final = 0.002
_ACCUSATION = re.compile(
    r"part (\w+) (?:answered|raised|took|put)|(transfer|loop) (?:returned|moved)"
)


class Journey(NamedTuple):
    """What became of the events."""

    events: int
    client: str
    sent_sha256: str
    received_sha256: str
    killed_after_bytes: int
    log_bytes: int
    copy_is_identical: bool
    jumps_right: int
    jumps: int
    collected_batches: int
    collected_unchanged: bool
    faults: tuple[str, ...]
    """what `verify` found in the directory, once the broker had stopped"""
    accused: tuple[str, ...]
    """parts that the broker's log names"""

    @property
    def unchanged(self) -> bool:
        """Every byte that went in came out, once, in order."""
        return self.sent_sha256 == self.received_sha256

    @property
    def passes(self) -> bool:
        """All of it."""
        return (
            self.unchanged
            and self.copy_is_identical
            and self.jumps_right == self.jumps
            and self.collected_unchanged
            and not self.faults
            and not self.accused
        )


def travel(lab: Lab, parts_dir: Path, *, events: int | None = None) -> Journey:
    """All of it with the parts of a directory, which may be empty: the rest is ours.

    Raises BrokerNotRunning (a part that does not pass its exam is named), NotDelivered,
    FollowerStopped.
    """
    count = events or (100_000 if lab.fast else 1_000_000)
    client = _Kcat() if shutil.which("kcat") else _Librdkafka()
    with ScratchDirectory("million") as scratch:
        written = scratch.path / "events"
        sent_sha256 = _write_events(written, count)
        parts = parts_dir if parts_dir.is_dir() else None
        port = free_ports(1)[0]  # the same before and after: clients come back to it
        broker = RunningBroker(scratch.path / "data", port=port, parts=parts)
        with ExitStack() as stack:
            stack.enter_context(broker)
            copy = stack.enter_context(_followed(broker.bootstrap, scratch.path / "copy", parts))
            killed_after = _write_and_kill(broker, client, written)
            copy.reach(count)
            received = client.read(broker.bootstrap, count)
            right, jumps = _jump(broker, count, lab)
            batches, unchanged = _collect(broker, lab, parts)
            log_path = segments_of(broker.data_dir, TOPIC)[0]
            identical = copy.path.read_bytes() == log_path.read_bytes()
            log_bytes = log_path.stat().st_size
            broker.stop()
            faults = tuple(str(fault) for fault in verify(broker.data_dir).faults)
            accused = _accused(broker.log_path)
    return Journey(
        count,
        client.name,
        sent_sha256,
        received,
        killed_after,
        log_bytes,
        identical,
        right,
        jumps,
        batches,
        unchanged,
        faults,
        accused,
    )


def _write_events(path: Path, count: int) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for event in flight_events.repeated(count):
            digest.update(event + b"\n")
            file.write(event + b"\n")
    return digest.hexdigest()


def _write_and_kill(broker: RunningBroker, client: _Client, written: Path) -> int:
    """Has the file produced, kills the broker in the middle, starts it again; after how many bytes.

    Raises NotDelivered when the client gave up, or was done before anybody could kill.
    """
    half = written.stat().st_size // 2
    result: list[BaseException | None] = []
    with Wire(broker.host, broker.port) as wire:
        wire.ask_for_topic(TOPIC)
    sending = threading.Thread(
        target=lambda: result.append(_problem_of(client.write, broker.bootstrap, written))
    )
    sending.start()
    log_bytes, give_up = 0, time.monotonic() + _TIMEOUT_S
    while log_bytes < half and not result and time.monotonic() < give_up:
        time.sleep(_LOOK_S)  # nobody tells when a file has grown
        log_bytes = sum(path.stat().st_size for path in segments_of(broker.data_dir, TOPIC))
    came_in_the_middle = not result
    broker.kill()
    broker.start()
    sending.join(_TIMEOUT_S)
    if not result:
        raise NotDelivered(f"{client.name} was not done {_TIMEOUT_S:g} s after the kill")
    if result[0]:
        raise result[0]
    if not came_in_the_middle:
        raise NotDelivered(f"{client.name} was done before the broker could be killed")
    return log_bytes


def _problem_of(call: Callable[..., object], *arguments: object) -> BaseException | None:
    try:
        call(*arguments)
    except Exception as problem:
        return problem
    return None


@contextmanager
def _followed(bootstrap: str, directory: Path, parts: Path | None) -> Iterator[Follower]:
    rounds, recover = (examined_or_ours(parts, name) for name in ("follower", "recovery"))
    with Wire(bootstrap.rpartition(":")[0], int(bootstrap.rpartition(":")[2])) as wire:
        wire.ask_for_topic(TOPIC)
    with Follower(bootstrap, TOPIC, directory, rounds, recover) as follower:
        yield follower


def _jump(broker: RunningBroker, count: int, lab: Lab) -> tuple[int, int]:
    """Consumers that begin somewhere: how many got the event of that offset."""
    events = flight_events.flight_events()
    wanted = lab.random("jumps").sample(range(count), 5)
    right = 0
    for offset in wanted:
        consumer = flight_events.assigned_consumer(broker.bootstrap, TOPIC, offset)
        came = consumer.consume(1, _TIMEOUT_S)
        consumer.close()
        right += [each.value() for each in came] == [events[offset % len(events)]]
    return right, len(wanted)


def _collect(broker: RunningBroker, lab: Lab, parts: Path | None) -> tuple[int, bool]:
    """Events one by one through the accumulator: into how many batches, and did all arrive?"""
    decide = examined_or_ours(parts, "accumulator")
    events = list(flight_events.repeated(2000))
    gap_ms = 0.05
    arriving = [WaitingRecord(len(event), n * gap_ms) for n, event in enumerate(events)]
    with Wire(broker.host, broker.port) as wire:
        wire.ask_for_topic(_COLLECTED)
        produce_accumulated(wire, _COLLECTED, events, arriving, decide, (10, 16_384, 5))
    came = flight_events.consume(broker.bootstrap, _COLLECTED, len(events))
    digest = hashlib.sha256(b"".join(event + b"\n" for event in events)).hexdigest()
    log = segments_of(broker.data_dir, _COLLECTED)[0].read_bytes()
    return _batches(log), came.sha256 == digest


def _batches(log: bytes) -> int:
    position = count = 0
    while position < len(log):
        position += 12 + int.from_bytes(log[position + 8 : position + 12], "big")
        count += 1
    return count


def _accused(log_path: Path) -> tuple[str, ...]:
    """The parts that the broker's log complains of."""
    found = _ACCUSATION.findall(log_path.read_text(errors="replace"))
    return tuple(dict.fromkeys(decides or moves for decides, moves in found))


# -- clients ---------------------------------------------------------------------------------------


class _Kcat:
    name = "kcat"

    def write(self, bootstrap: str, path: Path) -> None:
        """The lines of a file; it comes back when all are acknowledged."""
        words = ["kcat", "-E", "-b", bootstrap, "-P", "-t", TOPIC, "-X", "enable.idempotence=true"]
        more = ["-X", "reconnect.backoff.max.ms=200", "-X", "retry.backoff.ms=20", "-l", str(path)]
        self._run([*words, *more])

    def read(self, bootstrap: str, count: int) -> str:
        """The digest of all of them."""
        words = ["kcat", "-b", bootstrap, "-C", "-t", TOPIC, "-o", "beginning", "-e", "-q"]
        digest = hashlib.sha256()
        with subprocess.Popen([*words, "-c", str(count)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            while chunk := process.stdout.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest()

    def _run(self, words: list[str]) -> None:
        done = subprocess.run(words, capture_output=True, timeout=_TIMEOUT_S, check=False)
        if done.returncode:
            raise NotDelivered(f"kcat ended with {done.returncode}: {done.stderr[-500:]!r}")


class _Librdkafka:
    name = "librdkafka (kcat is not installed)"

    def write(self, bootstrap: str, path: Path) -> None:
        """As kcat does."""
        config: dict[str, Any] = {"enable.idempotence": True, "reconnect.backoff.max.ms": 200}
        with path.open("rb") as file:
            events = (line.rstrip(b"\n") for line in file)
            flight_events.produce(bootstrap, TOPIC, events, {"log_level": 3, **config})

    def read(self, bootstrap: str, count: int) -> str:
        """As kcat does."""
        return flight_events.consume(bootstrap, TOPIC, count, timeout_s=_TIMEOUT_S).sha256


_Client = _Kcat | _Librdkafka


# -- words -----------------------------------------------------------------------------------------


def journey_lines(journey: Journey) -> list[str]:
    """What happened, one fact a line."""
    yes = {True: "yes", False: "NO"}
    killed = f"{journey.killed_after_bytes:,} of {journey.log_bytes:,} bytes"
    return [
        f"{journey.events:,} real events, written and read by {journey.client}",
        f"kill -9 when the log had {killed}; started again on the same files",
        f"what came out is what went in, byte for byte: {yes[journey.unchanged]}",
        f"so nothing acknowledged was lost, nothing is there twice: {yes[journey.unchanged]}",
        f"the follower's copy is the leader's log, byte for byte: {yes[journey.copy_is_identical]}",
        f"consumers that begin somewhere: {journey.jumps_right} of {journey.jumps} got their event",
        f"2,000 events one by one through the accumulator: {journey.collected_batches} batches, "
        f"unchanged: {yes[journey.collected_unchanged]}",
        f"verify: {len(journey.faults)} faults" + "".join(f"; {f}" for f in journey.faults[:3]),
        f"named in the broker's log: {', '.join(journey.accused) or 'no part'}",
    ]
