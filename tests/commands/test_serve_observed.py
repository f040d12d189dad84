"""What can be seen of a running broker from outside: counters and log lines."""

from __future__ import annotations

import json
import logging
import sys
import urllib.request

import pytest
from confluent_kafka import Consumer, Producer

from zerocopy_lab.commands.log_lines import JsonLines
from zerocopy_lab.running.running_broker import BrokerNotRunning, RunningBroker

MESSAGE = b"x" * 1000


def metrics_of(broker: RunningBroker) -> dict[str, float]:
    """Every sample by its name and labels, as Prometheus reads them."""
    pytest.importorskip("prometheus_client", reason="the endpoint needs prometheus-client")
    from prometheus_client.parser import text_string_to_metric_families

    line = next(x for x in broker.log_path.read_text().splitlines() if "/metrics" in x)
    address = json.loads(line)["message"].removeprefix("counters at ")
    with urllib.request.urlopen(address, timeout=20) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_counters_count_what_clients_did() -> None:
    options = ["--metrics-port", "0", "--log-format", "json", "--set", "max.connections=50"]
    with RunningBroker(options=options) as broker:
        before = metrics_of(broker)
        producer = Producer({"bootstrap.servers": broker.bootstrap})
        for _ in range(1000):
            producer.produce("t", MESSAGE)
        assert producer.flush(30) == 0
        consumer = Consumer(
            {
                "bootstrap.servers": broker.bootstrap,
                "group.id": "g",
                "auto.offset.reset": "earliest",
            }
        )
        consumer.subscribe(["t"])
        received = 0
        while received < 1000:
            batch = consumer.consume(1000, 20)
            assert batch
            received += len(batch)
        during = metrics_of(broker)
        consumer.close()
        lines = [json.loads(x) for x in broker.log_path.read_text().splitlines()]
    assert "zerocopy_lab_requests_total produce" not in before
    assert during["zerocopy_lab_requests_total produce"] >= 1
    assert during["zerocopy_lab_requests_total join_group"] >= 1
    assert during["zerocopy_lab_received_bytes_total"] >= 1000 * len(MESSAGE)
    assert during["zerocopy_lab_file_bytes_total"] >= 1000 * len(MESSAGE)
    assert during["zerocopy_lab_sent_bytes_total"] > during["zerocopy_lab_file_bytes_total"]
    assert during["zerocopy_lab_connections"] >= 2
    assert during["zerocopy_lab_groups"] == 1
    assert during["zerocopy_lab_partitions"] == 2  # "t" and the committed offsets
    assert {line["level"] for line in lines} <= {"info", "warning"}
    assert any(line["event"] == "counters at http://127.0.0.1:%d/metrics" for line in lines)


def test_a_log_line_is_one_json_object_even_with_a_traceback() -> None:
    try:
        raise ValueError("line one\nline two")
    except ValueError:
        record = logging.LogRecord(
            "zerocopy_lab.x", logging.ERROR, "x.py", 1, "%s of %d", ("it", 3), sys.exc_info()
        )
    text = JsonLines().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert line["event"] == "%s of %d"
    assert line["arguments"] == ["it", 3]
    assert line["message"] == "it of 3"
    assert "line two" in line["traceback"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--set", "max.connections=many"], "not a whole number"),
        (["--set", "max.connections=0"], "1 or more"),
        (["--set", "group.max.size"], "NAME=VALUE"),
        (["--set", "auto.create.topics.enable=maybe"], "true or false"),
        (["--set", "no.such.setting=1"], "no.such.setting"),
        (["--set", "ssl.client.auth=none"], "ssl.keystore.location is missing"),
        (["--listen", "SSL://127.0.0.1:0"], "ssl.keystore.location"),
        (["--listen", "SASL_PLAINTEXT://127.0.0.1:0"], "--sasl-users"),
        (["--listen", "127.0.0.1:0"], "PROTOCOL://HOST:PORT"),
        (["--fault", "fetch:explode"], "explode"),
        (["--tls-transfer", "sendfile", "--sasl-users", "/nowhere"], "/nowhere"),
    ],
)
def test_a_setting_without_a_meaning_stops_the_start(options: list[str], says: str) -> None:
    with pytest.raises(BrokerNotRunning) as caught, RunningBroker(options=options):
        pass
    assert says in str(caught.value)


def test_settings_reach_the_broker_by_kafkas_names() -> None:
    from confluent_kafka.admin import (  # type: ignore[attr-defined]
        AdminClient,
        ConfigResource,
        ResourceType,
    )

    options = ["--set", "log.roll.ms=7777", "--set", "group.max.size=3"]
    with RunningBroker(options=[*options, "--set", "max.connections=33"]) as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        resource = ConfigResource(ResourceType.BROKER, "0")
        told = admin.describe_configs([resource])[resource].result(30)
    assert told["log.roll.ms"].value == "7777"
    assert told["group.max.size"].value == "3"
    assert told["max.connections"].value == "33"
