"""Topics come and go while housekeeping looks after their logs: no directory may suffer."""

from __future__ import annotations

from pathlib import Path

from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.log import TopicSettings
from zerocopy_lab.records.record import Record, build_batch


def test_a_deleted_topic_does_not_take_its_directory_along(tmp_path: Path) -> None:
    # Tiny segments, so that every round of housekeeping has files to work on.
    defaults = TopicSettings.from_kafka({"segment.bytes": "100", "retention.bytes": "1"})
    settings = BrokerSettings(
        log_dirs=(tmp_path,), topic_defaults=defaults, log_retention_check_interval_ms=1
    )
    batch = build_batch([Record(0, 0, b"k", b"v")])
    with Broker(settings) as broker:
        for round_number in range(150):
            broker.logs.create_topic("t", 2)
            for _ in range(5):
                broker.logs.find("t", 0).append(memoryview(bytearray(batch)))
            broker.logs.delete_topic("t")
            assert not broker.logs.offline, f"round {round_number}: {broker.logs.offline}"
