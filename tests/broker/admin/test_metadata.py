"""Metadata: topics on first use, and the epoch that consumers compare with what they read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.broker.caller import Caller
from tests.served import every_version
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.protocol.versions import ApiKey


def ask(caller: Caller, version: int, *names: str, may_create: bool = True) -> Any:
    wanted = caller.types(ApiKey.metadata, version).MetadataRequestTopic
    fields = wanted.__dataclass_fields__
    topics = tuple(
        wanted(name=name, **({"topic_id": None} if "topic_id" in fields else {})) for name in names
    )
    return caller.call(
        ApiKey.metadata,
        version,
        topics=topics,
        allow_auto_topic_creation=may_create,
        include_cluster_authorized_operations=False,
        include_topic_authorized_operations=False,
    )


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.metadata))
def test_first_use_creates_a_topic(tmp_path: Path, key: ApiKey, version: int) -> None:
    settings = BrokerSettings(log_dirs=(tmp_path,), num_partitions=2, max_partitions=3)
    with Broker(settings) as broker:
        broker.advertise("localhost", 9092)
        caller = Caller(broker)
        answer = ask(caller, version, "new", "a/b", "too-many")
        assert [int(topic.error_code) for topic in answer.topics] == [0, 17, 44]
        assert [part.leader_id for part in answer.topics[0].partitions] == [0, 0]
        assert [(b.host, b.port) for b in answer.brokers] == [("localhost", 9092)]
        if version >= 4:
            refused = ask(caller, version, "unknown", may_create=False)
            assert refused.topics[0].error_code == 3
        assert list(broker.logs.topics()) == ["new"]


def test_the_epoch_is_the_one_that_batches_carry(tmp_path: Path) -> None:
    with Broker(BrokerSettings(log_dirs=(tmp_path,))) as broker:
        broker.logs.create_topic("t", 1)
        log = broker.logs.find("t", 0)
        log.leader_epoch = 7  # as after seven crashes
        assert ask(Caller(broker), 12, "t").topics[0].partitions[0].leader_epoch == 7
