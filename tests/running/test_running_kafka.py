"""A real Kafka in the place of our broker: the same class, a pid, an address and a directory."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil
import pytest

from zerocopy_lab.classroom.subject import SubjectKind, about
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.running import apache_kafka, flight_events
from zerocopy_lab.running.apache_kafka import free_ports
from zerocopy_lab.running.existing_cluster import ExistingCluster, broker_for
from zerocopy_lab.running.running_broker import RunningBroker

needs_java = pytest.mark.skipif(
    apache_kafka.unavailable() is not None, reason=str(apache_kafka.unavailable())
)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(300)
@needs_java
def test_kafka_runs_where_ours_does_and_leaves_nothing(tmp_path: Path) -> None:
    with RunningBroker(tmp_path / "data", kind="kafka", settings={"num.partitions": "2"}) as kafka:
        sent = flight_events.produce(kafka.bootstrap, "flights", flight_events.repeated(500))
        assert flight_events.consume(kafka.bootstrap, "flights", 500) == sent
        assert psutil.Process(kafka.pid).name() == "java"
        assert (kafka.data_dir / "flights-1").is_dir()
        pid, subject = kafka.pid, about(kafka)
        assert kafka.kill() == -9
    assert not psutil.pid_exists(pid)
    assert (subject.kind, subject.speaks_of_kafka) == (SubjectKind.KAFKA, True)


def test_a_kafka_has_its_own_way_of_sending(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has its own way of sending"):
        RunningBroker(kind="kafka", transfer="sendfile")
    with pytest.raises(ValueError, match="and its own parts"):
        RunningBroker(kind="kafka", parts=tmp_path)


def test_what_needs_a_process_or_files_cannot_be_seen_from_afar() -> None:
    with broker_for("kafka.example:9092") as cluster:
        assert isinstance(cluster, ExistingCluster)
        assert (cluster.host, cluster.port) == ("kafka.example", 9092)
        with pytest.raises(Unavailable, match="runs elsewhere"):
            _ = cluster.pid
        with pytest.raises(Unavailable, match="runs elsewhere"):
            _ = cluster.data_dir
        assert about(cluster).speaks_of_kafka


def test_ports_are_none_that_the_system_lends_to_clients() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    with socket.socket() as client:
        client.bind(("127.0.0.1", 0))  # one of those that are lent
        assert max(ports) < client.getsockname()[1]
