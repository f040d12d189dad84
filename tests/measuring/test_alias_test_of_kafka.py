"""The same question to a real Apache Kafka: does its response hold the file's own pages?"""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Producer

from zerocopy_lab.client.consumer import fetch, fetch_frame
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.measuring.alias_test import alias_test_of_broker
from zerocopy_lab.running import apache_kafka

PATIENCE_S = 60


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(apache_kafka.unavailable() is not None, reason=str(apache_kafka.unavailable()))
def test_apache_kafka_copies_nothing_either(tmp_path: Path) -> None:
    with apache_kafka.running_kafka(tmp_path / "kafka") as kafka:
        producer = Producer({"bootstrap.servers": kafka.bootstrap})
        for number in range(3000):
            producer.produce("probed", b"departure %06d" % number, partition=0)
        assert producer.flush(PATIENCE_S) == 0
        (segment,) = kafka.log_dir.glob("probed-0/*.log")
        content = segment.read_bytes()
        with Wire(kafka.host, kafka.port) as wire:
            frame = fetch_frame(wire, "probed", 0, 0)
            verdict = alias_test_of_broker(kafka.host, kafka.port, segment, frame)
            assert (verdict.verdict, verdict.pages) == ("alias", ("new", "new"))
            assert segment.read_bytes() == content
            assert fetch(wire, "probed", 0, 0).records == content
