"""Files across the border: ours read by a real Apache Kafka, and the other way round."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.log.small_log_dir import patch
from zerocopy_lab.__main__ import main
from zerocopy_lab.inspect.files import kind_of
from zerocopy_lab.inspect.verification import verify
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.running import apache_kafka, kafka_tools
from zerocopy_lab.running.running_broker import RunningBroker

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        apache_kafka.unavailable() is not None, reason=str(apache_kafka.unavailable())
    ),
]
CODECS = [codec.name.lower() for codec in Codec]
VALUES = [b"departure %06d from JFK " % number * 3 for number in range(4_000)]
SMALL_SEGMENTS = {"segment.bytes": "65536", "index.interval.bytes": "512"}
PATIENCE_S = 60


def produce(bootstrap: str, topic: str, values: list[bytes], **settings: object) -> None:
    """Writes and waits until all are acknowledged; the keys are the values' numbers modulo 50."""
    refused: list[object] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "batch.num.messages": 40,
            "linger.ms": 5,
            # A retry may overtake: only an idempotent producer keeps the order of several.
            "max.in.flight": 5 if "enable_idempotence" in settings else 1,
            **{name.replace("_", "."): value for name, value in settings.items()},
        }
    )
    for number, value in enumerate(values):
        producer.produce(
            topic,
            value,
            key=b"%d" % (number % 50),
            headers=[("number", b"%d" % number)] if number % 3 == 0 else None,
            on_delivery=lambda error, _message: refused.append(error) if error else None,
        )
        producer.poll(0)
    assert producer.flush(PATIENCE_S) == 0
    assert refused == []


def consume(bootstrap: str, topic: str) -> list[tuple[int, bytes]]:
    """Offset and value of every record from the first to the last."""
    settings = {"enable.partition.eof": True, "enable.auto.commit": False, "group.id": "reader"}
    consumer = Consumer({"bootstrap.servers": bootstrap, **settings})
    found: list[tuple[int, bytes]] = []
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        while (message := consumer.poll(PATIENCE_S)) is not None:
            if (error := message.error()) is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                return found
            offset, value = message.offset(), message.value()
            assert offset is not None
            assert value is not None
            found.append((offset, value))
        raise AssertionError(f"{topic} does not end; the last record was {found[-1:]}")
    finally:
        consumer.close()


def commit(bootstrap: str, offset: int) -> None:
    """The group has read the topic `none` up to this offset."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "travellers"})
    try:
        consumer.commit(offsets=[TopicPartition("none", 0, offset)], asynchronous=False)
    finally:
        consumer.close()


def committed(bootstrap: str) -> int:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "travellers"})
    try:
        (found,) = consumer.committed([TopicPartition("none", 0)], timeout=PATIENCE_S)
        return found.offset
    finally:
        consumer.close()


def create(bootstrap: str, topic: str, **settings: str) -> None:
    config = {name.replace("_", "."): value for name, value in settings.items()}
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 1, 1, config=config)])[topic].result(PATIENCE_S)


@pytest.fixture(scope="module")
def kafkas_log_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written by a real Kafka: a topic for each codec, a transactional and a compacted one."""
    directory = tmp_path_factory.mktemp("kafka")
    settings = {
        "log.segment.bytes": "1048576",  # the least that Kafka 4 allows
        "log.index.interval.bytes": "512",
        "log.cleaner.backoff.ms": "100",
    }
    with apache_kafka.running_kafka(directory, settings) as kafka:
        for codec in CODECS:
            produce(kafka.bootstrap, codec, VALUES, compression_type=codec)
        arguments = "--topic transactions --num-records 2000 --record-size 100 --throughput -1"
        client = f"bootstrap.servers={kafka.bootstrap} compression.type=snappy"
        done = kafka_tools.run_tool(
            "kafka-producer-perf-test",
            f"{arguments} --transactional-id t --producer-props {client}".split(),
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr
        create(
            kafka.bootstrap, "compacted", cleanup_policy="compact", min_cleanable_dirty_ratio="0"
        )
        for _ in range(6):
            produce(kafka.bootstrap, "compacted", VALUES, enable_idempotence=True)
        cleaned = kafka.log_dir / "cleaner-offset-checkpoint"
        give_up = time.monotonic() + PATIENCE_S
        while "compacted 0" not in cleaned.read_text():
            assert time.monotonic() < give_up, "Kafka did not compact"
            time.sleep(0.1)
        # Not what the cleaner works on: it may swap segments between two files of the copy.
        ignore = shutil.ignore_patterns("compacted-*")
        shutil.copytree(kafka.log_dir, directory / "live", ignore=ignore)
        commit(kafka.bootstrap, 42)
    return kafka.log_dir


@pytest.fixture
def our_log_dir(tmp_path: Path) -> Path:
    return tmp_path / "ours"


def write_ours(log_dir: Path) -> None:
    """A topic for each codec, and one of an idempotent producer, in small segments."""
    options = [f"--set={name}={value}" for name, value in SMALL_SEGMENTS.items()]
    with RunningBroker(log_dir, options=options) as broker:
        for codec in CODECS:
            produce(broker.bootstrap, codec, VALUES, compression_type=codec)
        produce(broker.bootstrap, "idempotent", VALUES, enable_idempotence=True)
        broker.kill()
    with RunningBroker(log_dir, options=options) as broker:  # recovered, and written to again
        for topic in [*CODECS, "idempotent"]:
            produce(broker.bootstrap, topic, VALUES, compression_type="lz4")


def counted_records(dumped: str) -> int:
    return sum(map(int, re.findall(r"^baseOffset: .* count: (\d+) ", dumped, re.MULTILINE)))


def test_kafka_finds_no_fault_in_our_files(our_log_dir: Path) -> None:
    write_ours(our_log_dir)
    found = kafka_tools.dump(our_log_dir)
    assert found.faults == []
    segments = list(our_log_dir.rglob("*.log"))
    assert len(segments) > 3 * (len(CODECS) + 1)
    assert found.files == len([path for path in our_log_dir.rglob("0*") if kind_of(path)])
    assert counted_records(found.text) == 2 * len(VALUES) * (len(CODECS) + 1)
    ours = verify(our_log_dir, deep=True)
    assert (ours.faults, ours.records) == ([], counted_records(found.text))


def test_kafka_would_have_found_faults(our_log_dir: Path) -> None:
    with RunningBroker(our_log_dir, options=["--set=index.interval.bytes=512"]) as broker:
        produce(broker.bootstrap, "flights", VALUES)
    partition = our_log_dir / "flights-0"
    log, index, times = (partition / f"{0:020d}{end}" for end in (".log", ".index", ".timeindex"))
    for path, position, words in ((log, 200, "isvalid: false"), (index, 3, "Mismatches in")):
        good = path.read_bytes()
        patch(path, position, bytes([good[position] ^ 1]))
        assert any(words in fault for fault in kafka_tools.dump(partition).faults)
        path.write_bytes(good)
    patch(times, 7, bytes([times.read_bytes()[7] ^ 1]))
    assert any("timestamp mismatch" in fault for fault in kafka_tools.dump(partition).faults)


def test_verify_finds_no_fault_in_kafkas_files(kafkas_log_dir: Path) -> None:
    found = verify(kafkas_log_dir, deep=True)
    assert found.faults == []
    assert found.partitions >= len(CODECS) + 4  # transactions and their state, compacted, metadata
    assert found.records > len(VALUES) * len(CODECS) + 2_000
    for directory in kafkas_log_dir.glob("*-0"):
        assert verify(directory, deep=True).faults == []


def test_verify_finds_no_fault_in_a_running_kafkas_files(kafkas_log_dir: Path) -> None:
    """Its active indexes are preallocated: megabytes of zeros behind the last entry."""
    live = kafkas_log_dir.with_name("live")
    assert (live / f"zstd-0/{0:020d}.index").stat().st_size == 10 << 20
    assert verify(live, deep=True).faults == []


@pytest.mark.parametrize("codec", CODECS)
def test_dump_reads_kafkas_files(
    kafkas_log_dir: Path, codec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dump", "--json", "--records", str(kafkas_log_dir / f"{codec}-0")]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    records = [record for line in lines for record in line.get("records", [])]
    assert [record["offset"] for record in records] == list(range(len(VALUES)))
    assert [record["value"].encode() for record in records] == VALUES
    assert records[3]["headers"] == [{"name": "number", "value": "3"}]
    assert {line["kind"] for line in lines} >= {"log", "index", "timeindex", "snapshot", "text"}


def test_dump_shows_what_only_kafka_writes(
    kafkas_log_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dump", "--records", str(kafkas_log_dir / "transactions-0")]) == 0
    text = capsys.readouterr().out
    assert "snappy, transactional" in text
    assert "none, transactional, control" in text
    assert main(["dump", "--hex", str(kafkas_log_dir)]) == 0


def test_our_broker_serves_what_kafka_wrote(kafkas_log_dir: Path, our_log_dir: Path) -> None:
    shutil.copytree(kafkas_log_dir, our_log_dir)
    expected = list(enumerate(VALUES))
    with RunningBroker(our_log_dir) as broker:
        for codec in CODECS:
            assert consume(broker.bootstrap, codec) == expected
        assert len(consume(broker.bootstrap, "transactions")) == 2_000
        compacted = consume(broker.bootstrap, "compacted")
        offsets = [offset for offset, _ in compacted]
        assert offsets == sorted(set(offsets))
        assert len(offsets) < offsets[-1] + 1
        assert compacted[-50:] == list(enumerate(VALUES * 6))[-50:]
        produce(broker.bootstrap, "zstd", VALUES, compression_type="zstd")  # and goes on writing
        assert consume(broker.bootstrap, "zstd") == list(enumerate(VALUES * 2))
        assert committed(broker.bootstrap) == 42
        commit(broker.bootstrap, 43)
        assert committed(broker.bootstrap) == 43
    assert verify(our_log_dir, deep=True).faults == []
    done = kafka_tools.run_tool(
        "kafka-dump-log",
        ["--offsets-decoder", "--files", ",".join(map(str, offsets_logs(our_log_dir)))],
        capture_output=True,
    )
    assert '"group":"travellers","topic":"none","partition":0' in done.stdout
    assert re.findall(r'"offset":(\d+)', done.stdout) == ["42", "43"]  # Kafka's record, then ours


def offsets_logs(log_dir: Path) -> list[Path]:
    return sorted(log_dir.glob("__consumer_offsets-0/*.log"))


def test_kafka_serves_what_our_broker_wrote(our_log_dir: Path, tmp_path: Path) -> None:
    """Two things stand in the way. Kafka takes a partition for a stray, and removes it, unless its
    own metadata knows the topic, by the id in partition.metadata. And it gives out producer ids
    from 0 again: an idempotent producer that gets an id of the log's would be out of sequence.
    """
    topics = [*CODECS, "idempotent"]
    write_ours(our_log_dir)
    with apache_kafka.running_kafka(tmp_path / "kafka") as kafka:
        for topic in topics:
            create(kafka.bootstrap, topic, segment_bytes="1048576")
    for topic in topics:
        theirs, ours = kafka.log_dir / f"{topic}-0", our_log_dir / f"{topic}-0"
        shutil.copy(theirs / "partition.metadata", ours)
        shutil.rmtree(theirs)
        shutil.copytree(ours, theirs)
    with apache_kafka.running_kafka(tmp_path / "kafka") as kafka:
        for topic in topics:
            assert consume(kafka.bootstrap, topic) == list(enumerate(VALUES * 2))
        produce(kafka.bootstrap, "idempotent", VALUES)
        assert consume(kafka.bootstrap, "idempotent") == list(enumerate(VALUES * 3))
    assert verify(kafka.log_dir, deep=True).faults == []
    assert "ERROR" not in kafka.log_file.read_text()
