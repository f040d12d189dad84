"""A broker in which groups read `t`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.settings import BrokerSettings


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(BrokerSettings(log_dirs=(tmp_path,))) as broker:
        broker.advertise("localhost", 9092)
        broker.logs.create_topic("t", 4)
        yield broker
