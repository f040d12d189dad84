"""The longest silence of a healthy client while one hostile request of each kind is served.

    python -m ci.attacks.silence [--rounds 3] [API ...]

A healthy client, in a process of its own, sends a small Produce and a small Fetch in turns and
waits for each answer. Beside it one request after the other is sent that is as large as the limits
allow: for every API that the broker advertises, every array in it filled, with names that nobody
knows and with those of a topic of many partitions; small requests that are much work; a Produce and
a Fetch of as many partitions as fit. Printed: how long the hostile request took; the longest that
the healthy client waited for an answer meanwhile, in the median of the rounds; the same with nobody
hostile around, in the same rounds, which says what a busy machine does by itself; and the most
memory that the broker ever took in a round of this API. The exit code is 1 if a silence was 250 ms
or more, or the memory a gibibyte.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import socket
import statistics
import struct
import sys
import time
import typing
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from ci.attacks.hostile import _batch, _connect, _produce, _receive
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.running.running_broker import RunningBroker

MOST_SILENCE_MS = 250
PARTITIONS = 1_000
MANY = "many"
PATIENCE_S = 120
#: So long nobody is hostile, before the requests of an API and behind them.
ALONE_S = 1.0
MOST_MEMORY_MIB = 1 << 10
#: The largest frame of any request but Produce, less what surrounds the array.
DECODED_BYTES = (256 << 10) - 200
FETCH_BYTES = (1 << 20) - 200
PRODUCE_BYTES = 90 << 20

Address = tuple[str, int]


class Attack(NamedTuple):
    """One hostile request; `frame` includes its length."""

    name: str
    frame: bytes


# Requests with one array filled ------------------------------------------------------------------

#: A value for item number so-and-so, given the names that are used round and round.
Maker = Callable[[int, list[str]], Any]


def sample(entity_type: Any, filled: str, count: int, names: list[str], path: str = "") -> Any:
    """An entity with one item in every array, and `count` in the one whose path is `filled`."""
    values = {name: make(0, names) for name, make in makers_of(entity_type).items()}
    for name, item_type in arrays_in(entity_type).items():
        here = f"{path}.{name}"
        how_many = range(count if here == filled else 1)
        if dataclasses.is_dataclass(item_type):
            one = sample(item_type, filled, count, names, here)
            values[name] = tuple(varied(one, number, names) for number in how_many)
        else:
            make = maker_of(item_type, name)
            values[name] = tuple(make(number, names) for number in how_many)
    return entity_type(**values)


def varied(entity: Any, number: int, names: list[str]) -> Any:
    """The same with other names and numbers."""
    entity_type: Any = type(entity)
    changed = {name: make(number, names) for name, make in makers_of(entity_type).items()}
    return dataclasses.replace(entity, **changed)


# To look at a type takes longer than to make an entity of it, so it is done once.


@cache
def arrays_in(entity_type: Any) -> dict[str, Any]:
    """The fields that are arrays, and of what."""
    hints = typing.get_type_hints(entity_type)
    of_what = {name: array_of(hint) for name, hint in hints.items()}
    return {name: item_type for name, item_type in of_what.items() if item_type is not None}


@cache
def makers_of(entity_type: Any) -> dict[str, Maker]:
    """How the other fields are filled."""
    hints = typing.get_type_hints(entity_type)
    return {
        field.name: maker_of(hints[field.name], field.name)
        for field in dataclasses.fields(entity_type)
        if field.name not in arrays_in(entity_type)
    }


def array_of(hint: Any) -> Any:
    """What a tuple's items are, None for what is no tuple."""
    for candidate in (hint, *typing.get_args(hint)):
        if typing.get_origin(candidate) is tuple:
            return typing.get_args(candidate)[0]
    return None


@cache
def maker_of(hint: Any, name: str) -> Maker:
    """What a field is filled with: names of the list; numbers that count up, if they are those of
    partitions; else always the same.
    """
    options = typing.get_args(hint) or (hint,)
    kind = next(option for option in options if option is not type(None))
    if issubclass(kind, str):
        return lambda number, names: names[number % len(names)]
    if issubclass(kind, UUID):
        if type(None) in options:
            return lambda *_: None
        return lambda number, _: UUID(int=number + 1)
    for base, plain in ((bool, False), (bytes, b"x"), (timedelta, timedelta(seconds=30))):
        if issubclass(kind, base):
            return lambda *_: plain
    if issubclass(kind, int) and ("partition" in name or "index" in name):
        numbers = [kind(number) for number in range(PARTITIONS)]
        return lambda number, _: numbers[number % PARTITIONS]
    always = kind(1)
    return lambda *_: always


def arrays_of(entity_type: Any, path: str = "") -> Iterator[str]:
    """The paths of its arrays, and of those within them."""
    for name, item_type in arrays_in(entity_type).items():
        yield f"{path}.{name}"
        if dataclasses.is_dataclass(item_type):
            yield from arrays_of(item_type, f"{path}.{name}")


def filled_requests(key: ApiKey, version: int, limit_bytes: int) -> Iterator[Attack]:
    """Every array of the request as long as the limit allows, with strangers and with known
    names.
    """
    entity_type = messages.request_type(key, version)
    strangers = [f"{number:x}" for number in range(60_000)]
    for array in arrays_of(entity_type):
        for whose, names in (("strangers", strangers), (MANY, [MANY])):

            def frame(count: int, array: str = array, names: list[str] = names) -> bytes:
                entity = sample(entity_type, array, count, names)
                made: bytes = messages.encode_request(version, 1, "hostile", entity)
                return made

            each = (len(frame(201)) - len(frame(1))) / 200
            count = int(limit_bytes / each)
            while len(made := frame(count)) - 4 > limit_bytes:
                count = int(count * limit_bytes / len(made))  # later names are longer
            yield Attack(f"{key.name}{array} × {count} ({whose})", made)


def small_requests(key: ApiKey, version: int) -> Iterator[Attack]:
    """Little to say, much to do."""
    types = messages.types_of(key, version, "request")

    def attack(name: str, **values: object) -> Attack:
        entity = messages.make(messages.request_type(key, version), **values)
        return Attack(f"{key.name}: {name}", messages.encode_request(version, 1, "h", entity))

    wait = timedelta(seconds=60)
    if key is ApiKey.metadata:
        yield attack(
            "all topics",
            topics=None,
            allow_auto_topic_creation=False,
            include_topic_authorized_operations=False,
            include_cluster_authorized_operations=False,
        )
    elif key is ApiKey.create_topics:
        topic = messages.make(
            types.CreatableTopic,
            name="large",
            num_partitions=2_000,
            replication_factor=1,
            assignments=(),
            configs=(),
        )
        yield attack("2,000 partitions", topics=(topic,), timeout=wait, validate_only=False)
    elif key is ApiKey.create_partitions:
        grown = types.CreatePartitionsTopic(name=MANY, count=3_000, assignments=None)
        yield attack("2,000 more", topics=(grown,), timeout=wait, validate_only=False)
    elif key is ApiKey.delete_topics:
        state = types.DeleteTopicState(name=MANY, topic_id=None)
        yield attack("1,000 partitions", topics=(state,), timeout=wait)
    elif key is ApiKey.describe_log_dirs:
        yield attack("all", topics=None)
    elif key is ApiKey.describe_configs:
        resource = types.DescribeConfigsResource(
            resource_type=2, resource_name=MANY, configuration_keys=None
        )
        yield attack(
            "one topic × 20,000",
            resources=(resource,) * 20_000,
            include_synonyms=True,
            include_documentation=True,
        )


# Produce and Fetch -------------------------------------------------------------------------------


def produce_requests() -> Iterator[Attack]:
    def frame(parts: int, records: bytes) -> bytes:
        body = struct.pack(">hhihhhi", 0, 7, 1, -1, -1, 1, 30_000)
        body += struct.pack(">ih", 1, len(MANY)) + MANY.encode() + struct.pack(">i", parts)
        if records:
            head = struct.Struct(">ii")
            body += b"".join(
                head.pack(number % PARTITIONS, len(records)) + records for number in range(parts)
            )
        else:
            body += b"".join(struct.pack(">ii", number, -1) for number in range(parts))
        return struct.pack(">i", len(body)) + body

    batch = bytes(_batch())
    yield Attack("produce: 65,000 null partitions", frame(65_000, b""))
    yield Attack("produce: 200,000 null partitions", frame(200_000, b""))
    yield Attack("produce: 4,000 batches", frame(4_000, batch))
    yield Attack("produce: 65,000 batches", frame(65_000, batch))
    yield Attack("produce: 90 MiB of null partitions", frame(PRODUCE_BYTES // 8, b""))
    yield Attack("produce: 90 MiB of batches", frame(PRODUCE_BYTES // (len(batch) + 8), batch))
    yield Attack("produce: 90 MiB for one partition", frame(1, bytes(PRODUCE_BYTES)))


def fetch_requests() -> Iterator[Attack]:
    entry = struct.Struct(">iqqi")
    also = struct.pack(">h7si", 7, b"healthy", 1) + entry.pack(0, 0, -1, 1 << 20)

    def frame(
        parts: int,
        offset: int,
        min_bytes: int,
        max_wait_ms: int,
        more: bytes = b"",
        topics: int = 1,
    ) -> bytes:
        body = struct.pack(">hhih", 1, 5, 1, -1)
        body += struct.pack(">iiiibi", -1, max_wait_ms, min_bytes, 1 << 30, 0, topics)
        if more:
            body = body[:-4] + struct.pack(">i", topics + 1) + more
        for _ in range(topics):
            body += struct.pack(">h", len(MANY)) + MANY.encode() + struct.pack(">i", parts)
            body += b"".join(
                entry.pack(number % PARTITIONS, offset, -1, 1 << 20) for number in range(parts)
            )
        return struct.pack(">i", len(body)) + body

    yield Attack("fetch: 600 partitions", frame(600, 0, 1, 0))
    yield Attack("fetch: 20,000 partitions", frame(20_000, 0, 1, 0))
    yield Attack("fetch: 43,000 partitions", frame(FETCH_BYTES // 24, 0, 1, 0))
    # Those who append to one of them look whether there is enough now.
    yield Attack("fetch: 43,000 partitions wait", frame(FETCH_BYTES // 24, 0, 1 << 30, 2_000, also))
    yield Attack("fetch: 1,000,000 partitions", frame(1_000_000, 0, 1, 0))
    yield Attack("fetch: 60,000 empty topics", frame(0, 0, 1, 0, topics=60_000))


def attacks_of(key: ApiKey, version: int) -> Iterator[Attack]:
    if key is ApiKey.produce:
        yield from produce_requests()
    elif key is ApiKey.fetch:
        yield from fetch_requests()
    else:
        yield from filled_requests(key, version, DECODED_BYTES)
        yield from small_requests(key, version)


# Measuring ---------------------------------------------------------------------------------------


def healthy(address: Address, told: Connection) -> None:
    """Ask and be answered until told to end; then say when each answer was asked for and came."""
    produce = _produce("healthy", bytes(_batch()))
    fetch = struct.pack(">hhih", 1, 4, 1, -1) + struct.pack(">iiiibi", -1, 0, 1, 1 << 16, 0, 1)
    fetch += struct.pack(">h", 7) + b"healthy" + struct.pack(">iiqi", 1, 0, 0, 1 << 16)
    fetch = struct.pack(">i", len(fetch)) + fetch
    spans: list[tuple[float, float]] = []
    with _connect(address) as sock:
        sock.settimeout(PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        told.send("ready")
        while not told.poll(0.002):  # a pace, not a wait
            for frame in (produce, fetch):
                began_s = time.monotonic()
                sock.sendall(frame)
                _receive(sock)
                spans.append((began_s, time.monotonic()))
    told.recv()
    told.send(spans)


def serve_out(address: Address, attack: Attack) -> tuple[float, float]:
    """Send it and wait for the answer or the end of the connection: when that began and ended."""
    began_s = time.monotonic()
    with _connect(address) as sock:
        sock.settimeout(PATIENCE_S)
        try:
            sock.sendall(attack.frame)
            _receive(sock)
        except ConnectionError:
            pass  # refused by hanging up
        return began_s, time.monotonic()


class Round(NamedTuple):
    """What one broker went through."""

    served_s: list[float]  # how long each attack took
    silences_s: list[float]  # the longest that the healthy client waited meanwhile
    alone_s: float  # the longest that it waited with nobody hostile
    peak_mib: int  # the most memory that the broker had


def measure(attacks: list[Attack]) -> Round:
    """Send one attack after the other beside a healthy client."""
    context = multiprocessing.get_context("spawn")
    with RunningBroker(options=["--log-level", "error"]) as broker:
        address = broker.host, broker.port
        create_topics(broker)
        ours, its = context.Pipe()
        client = context.Process(target=healthy, args=(address, its), daemon=True)
        client.start()
        assert ours.poll(60)
        ours.recv()
        spells = [left_alone(), *(serve_out(address, attack) for attack in attacks), left_alone()]
        ours.send("end")
        spans = ours.recv()
        client.join(20)
        peak_mib = peak_memory_mib(broker.pid)
        if "Traceback" in (said := broker.log_path.read_text()):
            raise RuntimeError(f"tracebacks in the broker's log: {said[-3000:]}")
    before_s, *silences_s, behind_s = (
        max((e - b for b, e in spans if e >= began_s and b <= ended_s), default=0.0)
        for began_s, ended_s in spells
    )
    served_s = [ended_s - began_s for began_s, ended_s in spells[1:-1]]
    return Round(served_s, silences_s, max(before_s, behind_s), peak_mib)


def left_alone() -> tuple[float, float]:
    """A while without anything hostile: its beginning and its end."""
    began_s = time.monotonic()
    time.sleep(ALONE_S)
    return began_s, time.monotonic()


def peak_memory_mib(pid: int) -> int:
    """The most that a process ever had in memory (proc(5): VmHWM)."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) >> 10


def create_topics(broker: RunningBroker) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    config = {"retention.ms": "-1"}  # the batches are of 1970
    topics = [
        NewTopic(name, n, 1, config=config) for name, n in (("healthy", 1), (MANY, PARTITIONS))
    ]
    for future in admin.create_topics(topics, request_timeout=60).values():
        future.result(60)


def advertised() -> dict[ApiKey, int]:
    """What the broker serves, and the highest version of each."""
    with (
        RunningBroker(options=["--log-level", "error"]) as broker,
        _connect((broker.host, broker.port)) as sock,
    ):
        sock.sendall(struct.pack(">ihhih", 10, 18, 0, 1, -1))
        answer = _receive(sock)
    _, response = messages.decode_response(ApiKey.api_versions, 0, memoryview(answer))
    return {ApiKey(one.api_key): one.max_version for one in response.api_keys}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("apis", nargs="*", metavar="API")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    bad = []
    print("| request | served in s | longest silence ms (median, range) | alone ms | peak MiB |")
    print("|---|---|---|---|---|")
    for key, version in advertised().items():
        if given.apis and key.name not in given.apis:
            continue
        attacks = list(attacks_of(key, version))
        if not attacks:
            continue
        rounds = [measure(attacks) for _ in range(given.rounds)]
        alone_ms = statistics.median(one.alone_s for one in rounds) * 1000
        peak_mib = max(one.peak_mib for one in rounds)
        for index, attack in enumerate(attacks):
            served_s = statistics.median(one.served_s[index] for one in rounds)
            silences_ms = [one.silences_s[index] * 1000 for one in rounds]
            silence_ms = statistics.median(silences_ms)
            silence = f"{silence_ms:.0f} ({min(silences_ms):.0f}–{max(silences_ms):.0f})"
            row = f"| {attack.name} | {served_s:.2f} | {silence} | {alone_ms:.0f} | {peak_mib} |"
            print(row, flush=True)
            if silence_ms >= MOST_SILENCE_MS or peak_mib >= MOST_MEMORY_MIB:
                bad.append(row)
    print("\n".join(["", *bad]))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
