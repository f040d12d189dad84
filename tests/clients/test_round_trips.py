"""What an unmodified client writes, every unmodified client reads back, byte for byte."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.real_clients import CLIENTS, TIMEOUT_S
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.records.batch import iterate_headers
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.running_broker import RunningBroker

COUNT = 100_000
NOW_MS = time.time_ns() // 1_000_000  # older records would be retention's at once
CODECS = ("gzip", "snappy", "lz4", "zstd")


@pytest.fixture(scope="module")
def broker() -> Iterator[RunningBroker]:
    with RunningBroker() as running:
        yield running


@pytest.fixture(scope="module")
def written(broker: RunningBroker) -> dict[str, list[bytes]]:
    """One topic for every client that is here, each with lines of its own."""
    by_client = {}
    for name, client in CLIENTS.items():
        if name == "kcat" and shutil.which("kcat") is None:
            continue
        lines = [f"{name} {number} ".encode() + b"." * (number % 90) for number in range(COUNT)]
        client.write(broker.bootstrap, f"by-{name}", lines, "none")
        by_client[name] = lines
    return by_client


def _need(*names: str) -> None:
    if "kcat" in names and shutil.which("kcat") is None:
        pytest.skip("kcat is not installed (apt-get install kcat)")


@pytest.mark.parametrize("reader", CLIENTS)
@pytest.mark.parametrize("writer", CLIENTS)
def test_any_client_reads_what_any_client_wrote(
    writer: str, reader: str, written: dict[str, list[bytes]], broker: RunningBroker
) -> None:
    _need(writer, reader)
    assert CLIENTS[reader].read(broker.bootstrap, f"by-{writer}", COUNT) == written[writer]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("writer", CLIENTS)
def test_compressed_batches_are_kept_and_come_back(
    writer: str, codec: str, broker: RunningBroker
) -> None:
    _need(writer)
    topic = f"{codec}-by-{writer}"
    lines = [b"the same words again and again, number %d" % number for number in range(2000)]
    CLIENTS[writer].write(broker.bootstrap, topic, lines, codec)
    segment = (broker.data_dir / f"{topic}-0" / "00000000000000000000.log").read_bytes()
    stored = {header.codec for _, header in iterate_headers(memoryview(segment))}
    # librdkafka sends a batch of one message as it is: compressed it would be larger.
    assert stored - {Codec.NONE} == {Codec[codec.upper()]}
    for reader, client in CLIENTS.items():
        if reader != "kcat" or shutil.which("kcat"):
            assert client.read(broker.bootstrap, topic, len(lines)) == lines


@pytest.mark.parametrize("codec", list(Codec))
def test_a_batch_is_stored_as_it_came(codec: Codec, broker: RunningBroker) -> None:
    """All but the base offset and the leader epoch, which lie outside the checksum."""
    topic = f"unopened-{codec.name.lower()}"
    records = [Record(offset, NOW_MS, b"key", b"value" * 100, ()) for offset in range(50)]
    batch = build_batch(records, codec=codec)
    with Wire(broker.host, broker.port) as wire:
        wire.ask_for_topic(topic)
        assert produce(wire, topic, 0, batch) == (0, 0)
        assert produce(wire, topic, 0, batch) == (0, 50)
    segment = (broker.data_dir / f"{topic}-0" / "00000000000000000000.log").read_bytes()
    for number in range(2):
        stored = segment[number * len(batch) : (number + 1) * len(batch)]
        assert stored[:8] == (number * 50).to_bytes(8, "big")
        assert stored[8:12] == batch[8:12]
        assert stored[16:] == batch[16:]
    assert len(segment) == 2 * len(batch)


@pytest.mark.kcat
def test_kcat_and_a_million_lines(broker: RunningBroker, tmp_path: Path) -> None:
    _need("kcat")
    lines, back = tmp_path / "lines", tmp_path / "back"
    with lines.open("w") as out:
        out.writelines(f"{number} {number * number}\n" for number in range(1_000_000))
    where = ["-b", broker.bootstrap, "-t", "a-million"]
    subprocess.run(["kcat", "-P", *where, "-l", str(lines)], check=True, timeout=TIMEOUT_S)
    with back.open("wb") as out_bytes:
        subprocess.run(
            ["kcat", "-C", *where, "-e", "-q"], check=True, timeout=TIMEOUT_S, stdout=out_bytes
        )
    assert back.read_bytes() == lines.read_bytes()
