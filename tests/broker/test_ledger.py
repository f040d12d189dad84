"""The ledger of what is served: each request, its versions, and the test that shows it.

A version that a handler declares is one that ApiVersions advertises, and one that stands here: who
raises a number beside a handler writes it down once more, next to the test that covers it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.broker.caller import Caller
from tests.served import VERSIONS, every_version
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.produce import LOWEST_SERVED
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.errors import CloseConnection, UnsupportedVersion
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Client, Now
from zerocopy_lab.protocol.versions import API_KEYS, ApiKey
from zerocopy_lab.records.record import Record, build_batch

HERE = "tests/broker/test_ledger.py"
ADMIN = "tests/broker/admin/test_admin_requests.py"
ABSENT = "tests/broker/admin/test_absent_features.py"
GROUPS = "tests/broker/groups/test_requests_of_groups.py"
CONSUMERS = "tests/broker/groups/test_requests_of_consumer_groups.py"


class Row(NamedTuple):
    """Lowest and highest version, and where every one of them is tried."""

    lowest: int
    highest: int
    file: str
    test: str


LEDGER = {
    ApiKey.produce: Row(0, 13, HERE, "test_produce"),
    ApiKey.fetch: Row(
        4,
        18,
        "tests/broker/test_fetch.py",
        "test_every_version_finds_the_records_and_names_the_topic_as_it_was_named",
    ),
    ApiKey.list_offsets: Row(1, 11, HERE, "test_list_offsets"),
    ApiKey.metadata: Row(
        0, 13, "tests/broker/admin/test_metadata.py", "test_first_use_creates_a_topic"
    ),
    ApiKey.offset_commit: Row(2, 10, GROUPS, "test_commit_survives_a_restart"),
    ApiKey.offset_fetch: Row(1, 10, GROUPS, "test_fetch_offsets"),
    ApiKey.find_coordinator: Row(0, 6, GROUPS, "test_find_coordinator"),
    ApiKey.join_group: Row(0, 9, GROUPS, "test_join"),
    ApiKey.heartbeat: Row(0, 4, GROUPS, "test_heartbeat"),
    ApiKey.leave_group: Row(0, 5, GROUPS, "test_leave"),
    ApiKey.sync_group: Row(0, 5, GROUPS, "test_sync"),
    ApiKey.describe_groups: Row(0, 6, GROUPS, "test_describe"),
    ApiKey.list_groups: Row(0, 5, GROUPS, "test_list"),
    ApiKey.sasl_handshake: Row(0, 1, HERE, "test_sasl_handshake"),
    ApiKey.api_versions: Row(0, 4, HERE, "test_api_versions_says_what_the_ledger_says"),
    ApiKey.create_topics: Row(2, 7, ADMIN, "test_create_topics"),
    ApiKey.delete_topics: Row(1, 6, ADMIN, "test_delete_topics"),
    ApiKey.delete_records: Row(0, 2, ADMIN, "test_delete_records"),
    ApiKey.init_producer_id: Row(0, 5, HERE, "test_init_producer_id"),
    ApiKey.offset_for_leader_epoch: Row(2, 4, ADMIN, "test_offset_for_leader_epoch"),
    ApiKey.describe_acls: Row(1, 3, ABSENT, "test_rules_cannot_be_listed"),
    ApiKey.create_acls: Row(1, 3, ABSENT, "test_rules_cannot_be_made_or_removed"),
    ApiKey.delete_acls: Row(1, 3, ABSENT, "test_rules_cannot_be_made_or_removed"),
    ApiKey.describe_configs: Row(1, 4, ADMIN, "test_describe_configs"),
    ApiKey.alter_configs: Row(0, 2, ADMIN, "test_alter_configs"),
    ApiKey.describe_log_dirs: Row(1, 4, ADMIN, "test_describe_log_dirs"),
    ApiKey.sasl_authenticate: Row(0, 2, "tests/broker/access/test_sasl.py", "test_plain"),
    ApiKey.create_partitions: Row(0, 3, ADMIN, "test_create_partitions"),
    ApiKey.describe_delegation_token: Row(1, 3, ABSENT, "test_tokens"),
    ApiKey.delete_groups: Row(0, 2, GROUPS, "test_delete_groups"),
    ApiKey.elect_leaders: Row(0, 2, ADMIN, "test_elect_leaders"),
    ApiKey.incremental_alter_configs: Row(0, 1, ADMIN, "test_incremental_alter_configs"),
    ApiKey.list_partition_reassignments: Row(0, 0, ABSENT, "test_nothing_to_show"),
    ApiKey.offset_delete: Row(0, 0, HERE, "test_offset_delete"),
    ApiKey.describe_client_quotas: Row(0, 1, ABSENT, "test_nothing_to_show"),
    ApiKey.describe_user_scram_credentials: Row(
        0, 0, ABSENT, "test_a_user_that_no_client_has_made"
    ),
    ApiKey.describe_cluster: Row(0, 2, ADMIN, "test_describe_cluster"),
    ApiKey.list_transactions: Row(0, 2, ABSENT, "test_nothing_to_show"),
    ApiKey.consumer_group_heartbeat: Row(0, 1, CONSUMERS, "test_heartbeat"),
    ApiKey.consumer_group_describe: Row(0, 1, CONSUMERS, "test_describe"),
}
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(BrokerSettings(log_dirs=(tmp_path,))) as broker:
        broker.logs.create_topic("t", 1)
        yield broker


def test_what_is_declared_is_in_the_ledger(broker: Broker) -> None:
    expected = {(key, row.lowest, row.highest) for key, row in LEDGER.items()}
    assert set(VERSIONS.values()) == expected
    assert set(broker.dispatch.versions.values()) == expected


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.api_versions))
def test_api_versions_says_what_the_ledger_says(broker: Broker, key: ApiKey, version: int) -> None:
    answer = Caller(broker).call(
        key, version, client_software_name="test", client_software_version="1"
    )
    assert {(a.api_key, a.min_version, a.max_version) for a in answer.api_keys} == {
        (key, row.lowest, row.highest) for key, row in LEDGER.items()
    }


@pytest.mark.parametrize("key", LEDGER, ids=lambda key: key.name)
def test_the_named_test_exists_and_speaks_of_that_request(key: ApiKey) -> None:
    row = LEDGER[key]
    source = (PROJECT / row.file).read_text(encoding="utf-8")
    tests = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name == row.test
    ]
    assert len(tests) == 1, f"{row.file} has no {row.test}"
    assert f"ApiKey.{key.name}" in source


# Rows that have no test elsewhere


@pytest.mark.parametrize("version", range(LOWEST_SERVED, LEDGER[ApiKey.produce].highest + 1))
def test_produce(broker: Broker, version: int) -> None:
    caller = Caller(broker)
    types = caller.types(ApiKey.produce, version)
    topic = messages.make(
        types.TopicProduceData,
        name="t",
        topic_id=broker.logs.topics()["t"].topic_id,
        partition_data=tuple(
            types.PartitionProduceData(index=index, records=records)
            for index, records in ((0, build_batch([Record(0, 0, None, b"v")])), (7, b"nonsense"))
        ),
    )
    answer = caller.call(
        ApiKey.produce,
        version,
        transactional_id=None,
        acks=-1,
        timeout=timedelta(seconds=1),
        topic_data=(topic,),
    )
    told = answer.responses[0].partition_responses
    assert [(p.index, p.error_code) for p in told] == [(0, 0), (7, 3)]
    assert broker.logs.find("t", 0).log_end_offset == 1


def test_produce_below_what_is_served_ends_the_connection(broker: Broker) -> None:
    for version in range(LOWEST_SERVED):
        frame = b"\0\0" + version.to_bytes(2, "big") + bytes(4) + b"\xff\xff" + bytes(20)
        with pytest.raises(CloseConnection, match="before Kafka"):
            broker.handle(memoryview(bytearray(frame)), Client(1, "h", 1))


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.list_offsets))
def test_list_offsets(broker: Broker, key: ApiKey, version: int) -> None:
    broker.logs.find("t", 0).append(memoryview(bytearray(build_batch([Record(0, 9, None, b"v")]))))
    caller = Caller(broker)
    types = caller.types(key, version)
    answers = {}
    for timestamp_ms in (-1, -2, 0):
        wanted = messages.make(
            types.ListOffsetsPartition,
            partition_index=0,
            current_leader_epoch=-1,
            timestamp=timestamp_ms,
        )
        topic = types.ListOffsetsTopic(name="t", partitions=(wanted,))
        answer = caller.call(
            key, version, replica_id=-1, isolation_level=0, topics=(topic,), timeout=timedelta(1)
        )
        (found,) = answer.topics[0].partitions
        assert found.error_code == 0
        answers[timestamp_ms] = found.offset
    assert answers == {-1: 1, -2: 0, 0: 0}


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.init_producer_id))
def test_init_producer_id(broker: Broker, key: ApiKey, version: int) -> None:
    caller = Caller(broker)
    values: dict[str, Any] = {
        "transaction_timeout": timedelta(minutes=1),
        "producer_id": -1,
        "producer_epoch": -1,
    }
    ids = [caller.call(key, version, transactional_id=None, **values).producer_id for _ in range(3)]
    assert len(set(ids)) == 3
    assert caller.call(key, version, transactional_id="tx", **values).error_code == 53


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.sasl_handshake))
def test_sasl_handshake(broker: Broker, key: ApiKey, version: int) -> None:
    caller = Caller(broker)
    caller.client.authenticated = False
    assert caller.call(key, version, mechanism="NONE").error_code == 33
    assert caller.call(key, version, mechanism="PLAIN").error_code == 0


def test_offset_delete(broker: Broker) -> None:
    types = messages.types_of(ApiKey.offset_delete, 0, "request")
    topic = types.OffsetDeleteRequestTopic(
        name="t", partitions=(types.OffsetDeleteRequestPartition(partition_index=0),)
    )
    answer = Caller(broker).call(ApiKey.offset_delete, 0, group_id="nobody", topics=(topic,))
    assert answer.error_code == 69


# What is not in the ledger


def refused(broker: Broker, key: int, version: int, *, authenticated: bool = True) -> bytes:
    """The frame of the answer to a header alone, without its length."""
    frame = key.to_bytes(2, "big") + version.to_bytes(2, "big") + b"\0\0\0\x07\xff\xff" + bytes(40)
    client = Client(1, "127.0.0.1", 4711, authenticated=authenticated)
    reply = broker.handle(memoryview(bytearray(frame)), client)
    assert isinstance(reply, Now)
    (piece,) = reply.pieces
    assert isinstance(piece, bytes)
    return piece[4:]


@pytest.mark.parametrize(
    ("key", "version"),
    [
        (ApiKey.share_group_heartbeat, 1),
        (ApiKey.add_offsets_to_txn, 0),
        (ApiKey.end_txn, 5),
        (ApiKey.init_producer_id, 6),
        (ApiKey.get_telemetry_subscriptions, 0),
    ],
)
def test_who_asks_for_what_is_not_served_hears_so_in_its_own_words(
    broker: Broker, key: ApiKey, version: int
) -> None:
    answer = memoryview(refused(broker, key, version))
    number, entity = messages.decode_response(key, version, answer)
    assert (number, entity.error_code) == (7, UnsupportedVersion.code)


@pytest.mark.parametrize(
    ("key", "version", "authenticated"),
    [
        (ApiKey.create_topics, 99, True),  # nobody knows what its answer looks like
        (ApiKey.metadata, 99, True),
        (999, 0, True),
        (ApiKey.end_txn, 0, False),  # a stranger
    ],
)
def test_where_nothing_can_be_said_the_connection_ends(
    broker: Broker, key: int, version: int, authenticated: bool
) -> None:
    with pytest.raises(CloseConnection, match="is not served"):
        refused(broker, key, version, authenticated=authenticated)


def test_every_key_of_a_client_has_a_name() -> None:
    """What a log line says of a request that is refused."""
    assert API_KEYS[76] is ApiKey.share_group_heartbeat
    assert all(API_KEYS[int(key)] is key for key in ApiKey)


@pytest.mark.parametrize("key", ApiKey, ids=lambda key: key.name)
def test_every_failure_can_be_written(key: ApiKey) -> None:
    """Of every request that a client may send, served or not, in every version that there is."""
    error = UnsupportedVersion("no")
    for version in range(20):
        entity = messages.failure_if_any(key, version, error)
        if entity is not None:
            frame = messages.encode_response(key, version, 7, entity)
            _, read = messages.decode_response(key, version, memoryview(frame)[4:])
            assert read.error_code == error.code
