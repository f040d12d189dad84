"""Hostile requests against the broker, millions of them: nothing may crash it, stop it or fill its
memory.

    python -m ci.attacks.fuzz                        mutated real frames of every request
    python -m ci.attacks.fuzz --seconds 600 --jobs 2 the same, longer and twice at a time
    python -m ci.attacks.fuzz --coverage             guided by coverage (needs atheris)
    python -m ci.attacks.fuzz --socket               through sockets, beside a healthy client
    python -m ci.attacks.fuzz --input FILE           one frame again, as a finding left it

The healthy client must not notice; all but `--socket` ask the broker within this process.
Allowed outcomes: an answer, an answer to come, no answer (acks=0), the end of the connection.
Anything else is a finding: its frame is written to a file, with the traceback. So is an input that
takes longer than a second, and memory that grows.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import logging
import multiprocessing
import os
import random
import shutil
import socket
import struct
import sys
import tempfile
import threading
import time
import traceback
import typing
from collections import deque
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import UnionType
from typing import Any
from uuid import UUID


def _watched() -> contextlib.AbstractContextManager[object]:
    """With --coverage, what is imported within is instrumented, so that its branches are seen."""
    if "--coverage" not in sys.argv or importlib.util.find_spec("atheris") is None:
        return contextlib.nullcontext()
    watched: contextlib.AbstractContextManager[object]
    watched = importlib.import_module("atheris").instrument_imports(include=["zerocopy_lab"])
    return watched


with _watched():
    from zerocopy_lab.broker.broker import Broker
    from zerocopy_lab.broker.serving import declared_versions
    from zerocopy_lab.broker.settings import BrokerSettings
    from zerocopy_lab.errors import CloseConnection
    from zerocopy_lab.protocol import messages
    from zerocopy_lab.protocol.framing import Client, HangUp
    from zerocopy_lab.protocol.later import Later
    from zerocopy_lab.protocol.versions import ApiKey
    from zerocopy_lab.records.compression import Codec
    from zerocopy_lab.records.record import Record, build_batch

INPUTS_PER_BROKER = 50_000  # then a fresh one, so that what piles up by rights does not hide a leak
SLOW_S = 1.0
MOST_GROWTH_BYTES = 64 << 20
INTERESTING = [
    -1,
    0,
    1,
    2,
    127,
    128,
    255,
    256,
    0x7FFF,
    0x8000,
    0xFFFF,
    1 << 20,
    0x7FFFFFFF,
    1 << 31,
]

#: What makes a request meaningful, by the name of its field.
_VALUES: dict[str, Any] = {
    "name": "t",
    "topic": "t",
    "group_id": "g",
    "member_id": "",
    "protocol_type": "consumer",
    "mechanism": "PLAIN",
    "session_timeout": timedelta(seconds=10),
    "rebalance_timeout": timedelta(seconds=10),
    "acks": 1,
    "replica_id": -1,
    "replication_factor": 1,
    "num_partitions": 1,
    "count": 2,
    "resource_type": 2,
    "resource_name": "t",
    "partition_max_bytes": 1 << 20,
    "max_bytes": 1 << 20,
    "min_bytes": 1,
    "max_wait": timedelta(0),
    "transactional_id": None,
    "timestamp": -1,
    "broker_ids": (0,),
    "auth_bytes": b"\0user\0password",
    "key": "g",
}


# Real frames --------------------------------------------------------------------------------------


def seeds() -> list[bytes]:
    """A plausible frame (without its length) of every request in every version."""
    frames = []
    for key, versions in declared_versions().items():
        for version in range(versions.lowest, versions.highest + 1):
            if key is ApiKey.produce and version < 3:
                continue
            for records in _batches() if key is ApiKey.produce else [b""]:
                request = _sample(messages.request_type(key, version), records)
                frames.append(messages.encode_request(version, 7, "fuzz", request)[4:])
    return frames


def _batches() -> list[bytes]:
    records = [Record(i, 1_700_000_000_000, b"k%d" % i, b"v" * 20) for i in range(3)]
    plain = [build_batch(records, codec=codec) for codec in Codec]
    return [*plain, build_batch(records, producer_id=1, producer_epoch=0, base_sequence=0)]


def _sample(entity_type: type[Any], records: bytes) -> Any:
    hints = typing.get_type_hints(entity_type)
    return entity_type(
        **{each.name: _value(each.name, hints[each.name], records) for each in fields(entity_type)}
    )


def _value(name: str, hint: Any, records: bytes) -> Any:
    options = typing.get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kind = next(option for option in options if option is not type(None))
    if typing.get_origin(kind) is tuple:
        return _VALUES.get(name) or (_value(name, typing.get_args(kind)[0], records),)
    if is_dataclass(kind):
        return _sample(typing.cast(type, kind), records)
    if name in _VALUES and not (kind is not str and isinstance(_VALUES[name], str)):
        return _VALUES[name]
    if name == "records":
        return records
    for base, value in (
        (bool, False),
        (bytes, b"\0\0\0\0\0\1\0\1t"),
        (str, "t"),
        (UUID, UUID(int=1)),
        (timedelta, timedelta(seconds=1)),
        (datetime, None),
        (float, 0.0),
    ):
        if issubclass(kind, base):
            return value
    return 0


# Mutations ----------------------------------------------------------------------------------------


def mutate(frame: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """A frame with one to four things wrong. Key and version mostly survive, else little would be
    reached.
    """
    mutant = bytearray(frame)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        start = rng.choice((0, 8, 8, 8, 8, 8, 8, 8, 8, 8))
        if len(mutant) <= start:
            break
        rng.choice(_MUTATIONS)(mutant, rng.randrange(start, len(mutant)), others, rng)
    return bytes(mutant)


def _flip(mutant: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    mutant[at] ^= 1 << rng.randrange(8)


def _overwrite(mutant: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    mutant[at] = rng.randrange(256)


def _number(mutant: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    width, code = rng.choice(((2, ">H"), (4, ">I"), (8, ">Q")))
    number = rng.choice(INTERESTING) & ((1 << 8 * width) - 1)
    mutant[at : at + width] = struct.pack(code, number)


def _varint(mutant: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    mutant[at : at + 1] = rng.choice(
        (b"\xff\xff\xff\xff\x0f", b"\xff" * 10, b"\x80\x80\x01", b"\0")
    )


def _cut(mutant: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    del mutant[at:]


def _remove(mutant: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    del mutant[at : at + rng.randrange(1, 9)]


def _insert(mutant: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    mutant[at:at] = rng.randbytes(rng.randrange(1, 9))


def _repeat(mutant: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    mutant[at:at] = mutant[at : at + rng.randrange(1, 40)] * rng.choice((1, 2, 50))


def _splice(mutant: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    other = rng.choice(others)
    mutant[at:] = other[rng.randrange(len(other)) :]


_MUTATIONS: list[Callable[[bytearray, int, list[bytes], random.Random], None]] = [
    _flip,
    _overwrite,
    _number,
    _varint,
    _cut,
    _remove,
    _insert,
    _repeat,
    _splice,
]


# The target ---------------------------------------------------------------------------------------


class Finding(Exception):
    """Something that no client should be able to bring about."""


class Target:
    """A broker without sockets, with a topic, and a judge of what it does."""

    def __init__(self, findings: Path) -> None:
        self.findings = findings
        self.inputs = self.answers = self.refusals = self.slowest_ns = 0
        self._directory: Path | None = None
        self._broker: Broker | None = None

    def __enter__(self) -> Target:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _open(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="zerocopy-lab-fuzz-"))
        settings = BrokerSettings(log_dirs=(self._directory,), max_partitions=20)
        self._broker = Broker(settings)
        self._broker.advertise("127.0.0.1", 9092)
        self._broker.logs.create_topic("t", 1)
        batch = build_batch([Record(i, 1, b"k", b"v") for i in range(10)])
        self._broker.logs.find("t", 0).append(memoryview(bytearray(batch)))

    def _close(self) -> None:
        assert self._broker is not None
        assert self._directory is not None
        self._broker.close()
        shutil.rmtree(self._directory)

    def feed(self, frame: bytes) -> None:
        """One input. Raises Finding."""
        assert self._broker is not None
        if self.inputs and self.inputs % INPUTS_PER_BROKER == 0:
            self._close()
            self._open()
        self.inputs += 1
        client = Client(1, "127.0.0.1", 1, authenticated=self.inputs % 16 != 0)
        started_ns = time.perf_counter_ns()
        try:
            reply = self._broker.handle(memoryview(bytearray(frame)), client)
            self.answers += not isinstance(reply, HangUp)
            if isinstance(reply, Later):
                reply.abandon()
        except CloseConnection:
            self.refusals += 1
        except Exception as cause:
            raise self._finding(frame, traceback.format_exc()) from cause
        if LOG.tracebacks:
            raise self._finding(frame, LOG.tracebacks.pop(0))
        took_ns = time.perf_counter_ns() - started_ns
        self.slowest_ns = max(self.slowest_ns, took_ns)
        if took_ns > SLOW_S * 1e9:
            raise self._finding(frame, f"it took {took_ns / 1e9:.1f} s")

    def _finding(self, frame: bytes, what: str) -> Finding:
        self.findings.mkdir(parents=True, exist_ok=True)
        path = self.findings / f"{hash(frame) & 0xFFFFFFFF:08x}.frame"
        path.write_bytes(frame)
        report = "\n".join([*(f"logged before: {line}" for line in LOG.errors), what])
        path.with_suffix(".txt").write_text(report)
        return Finding(f"{path}\n{report}")


class Formatting(logging.Handler):
    """Formats every line, so that one that cannot be is found too; keeps the last errors."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: deque[str] = deque(maxlen=5)
        self.tracebacks: list[str] = []  # of other threads, since somebody looked

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if record.levelno >= logging.ERROR:
            self.errors.append(line)
        if record.exc_info:
            self.tracebacks.append(logging.Formatter().formatException(record.exc_info))


LOG = Formatting()


def quiet_logs() -> None:
    logging.basicConfig(level="INFO", handlers=[LOG], force=True)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


# Ways to run --------------------------------------------------------------------------------------


def run_mutations(findings: Path, seconds: float, seed: int) -> int:
    """How many findings (at most one per kind of traceback)."""
    quiet_logs()
    rng, frames = random.Random(seed), seeds()
    known: set[str] = set()
    deadline_s = time.monotonic() + seconds
    warm_bytes = 0
    with Target(findings) as target:
        while time.monotonic() < deadline_s:
            for _ in range(100):
                try:
                    target.feed(mutate(rng.choice(frames), frames, rng))
                except Finding as finding:
                    kind = str(finding).splitlines()[-1]
                    if kind not in known:
                        known.add(kind)
                        print(f"FINDING {finding}", flush=True)
            if not warm_bytes and target.inputs >= 2 * INPUTS_PER_BROKER:
                warm_bytes = resident_bytes()
    growth = resident_bytes() - warm_bytes if warm_bytes else 0
    print(
        f"seed {seed}: {target.inputs:,} inputs, {target.answers:,} answered, {target.refusals:,} "
        f"connections ended, {len(known)} kinds of findings; slowest "
        f"{target.slowest_ns / 1e6:.0f} ms; memory {resident_bytes() >> 20} MiB, "
        f"{growth / (1 << 20):+.1f} MiB since warm",
        flush=True,
    )
    if growth > MOST_GROWTH_BYTES:
        print(f"FINDING memory grew by {growth >> 20} MiB", flush=True)
        return len(known) + 1
    return len(known)


def run_jobs(findings: Path, seconds: float, seed: int, jobs: int) -> int:
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        calls = [(findings, seconds, seed + job) for job in range(jobs)]
        return sum(pool.starmap(run_mutations, calls))


def run_coverage(findings: Path, seconds: float, corpus: Path) -> int:
    """Never returns when atheris is there: libFuzzer ends the process."""
    if importlib.util.find_spec("atheris") is None:
        print("not testable here: the package atheris is not installed")
        return 0
    atheris = importlib.import_module("atheris")
    quiet_logs()
    corpus.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(seeds()):
        (corpus / f"seed-{index:04d}").write_bytes(frame)
    target = Target(findings)
    target._open()
    limits = [f"-max_total_time={seconds:.0f}", "-max_len=4096", "-rss_limit_mb=1024", "-timeout=5"]
    atheris.Setup([sys.argv[0], *limits, "-print_final_stats=1", str(corpus)], target.feed)
    atheris.Fuzz()
    return 0


def run_sockets(findings: Path, seconds: float, seed: int) -> int:
    """Mutants through TCP, some in pieces, some cut; a healthy client is answered all the while."""
    from zerocopy_lab.running.running_broker import RunningBroker

    rng, frames = random.Random(seed), seeds()
    hello = messages.encode_request(
        0, 1, "healthy", messages.request_type(ApiKey.api_versions, 0)()
    )
    sent = checks = 0
    deadline_s = time.monotonic() + seconds
    with RunningBroker(options=["--log-level", "error"]) as broker:
        healthy = socket.create_connection((broker.host, broker.port), timeout=10)
        expected = _ask(healthy, hello)
        while time.monotonic() < deadline_s:
            with socket.create_connection((broker.host, broker.port), timeout=10) as hostile:
                sent += _attack(hostile, frames, rng)
            if _ask(healthy, hello) != expected:
                print("FINDING the healthy client got another answer", flush=True)
                return 1
            checks += 1
        healthy.close()
        said = broker.log_path.read_text(errors="replace")
    print(f"{sent:,} frames over {checks:,} connections; the healthy client was answered each time")
    if "Traceback" in said:
        findings.mkdir(parents=True, exist_ok=True)
        (findings / "broker.log").write_text(said)
        print(f"FINDING tracebacks in {findings / 'broker.log'}", flush=True)
        return 1
    return 0


def _attack(hostile: socket.socket, frames: list[bytes], rng: random.Random) -> int:
    reader = threading.Thread(target=_swallow, args=(hostile,), daemon=True)
    reader.start()
    sent = 0
    try:
        for _ in range(rng.randrange(1, 20)):
            mutant = mutate(rng.choice(frames), frames, rng)
            length = len(mutant) if rng.random() < 0.9 else rng.choice(INTERESTING) & 0xFFFFFFFF
            hostile.sendall(struct.pack(">I", length) + mutant)
            sent += 1
        hostile.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the broker has hung up, which is its right
    reader.join(10)
    return sent


def _swallow(sock: socket.socket) -> None:
    try:
        while sock.recv(65536):
            pass
    except OSError:
        pass  # reset: as good an end as any


def _ask(sock: socket.socket, request: bytes) -> bytes:
    sock.sendall(request)
    (length,) = struct.unpack(">i", _exactly(sock, 4))
    return _exactly(sock, length)


def _exactly(sock: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        part = sock.recv(length - len(received))
        if not part:
            raise Finding("the broker hung up on the healthy client")
        received += part
    return received


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--corpus", type=Path, default=Path("fuzz-corpus"))
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--coverage", action="store_true")
    way.add_argument("--socket", action="store_true")
    way.add_argument("--input", type=Path)
    given = parser.parse_args()
    if given.input:
        with Target(given.findings) as target:
            target.feed(given.input.read_bytes())
        print("nothing wrong with it any more")
        return 0
    if given.coverage:
        return run_coverage(given.findings, given.seconds, given.corpus)
    if given.socket:
        return min(run_sockets(given.findings, given.seconds, given.seed), 1)
    if given.jobs > 1:
        return min(run_jobs(given.findings, given.seconds, given.seed, given.jobs), 1)
    return min(run_mutations(given.findings, given.seconds, given.seed), 1)


if __name__ == "__main__":
    sys.exit(main())
