"""Pages of administrators' tools about what is not here: empty, or "security disabled"."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.broker.caller import Caller
from tests.served import every_version
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.protocol.versions import ApiKey

SECURITY_DISABLED, TOKENS_DISABLED, RESOURCE_NOT_FOUND = 54, 61, 91


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    with Broker(BrokerSettings(log_dirs=(tmp_path,))) as broker:
        broker.advertise("localhost", 9092)
        yield Caller(broker)


RULE = {
    "resource_type": 2,
    "resource_name": "t",
    "resource_pattern_type": 3,
    "principal": "User:anna",
    "host": "*",
    "operation": 3,
    "permission_type": 3,
}
FILTER = {
    "resource_type_filter": 2,
    "resource_name_filter": None,
    "pattern_type_filter": 3,
    "principal_filter": None,
    "host_filter": None,
    "operation": 1,
    "permission_type": 1,
}


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.describe_acls))
def test_rules_cannot_be_listed(caller: Caller, key: ApiKey, version: int) -> None:
    answer = caller.call(key, version, **FILTER)
    assert answer.error_code == SECURITY_DISABLED
    assert answer.error_message == "No Authorizer is configured on the broker"
    assert answer.resources == ()


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.create_acls, ApiKey.delete_acls))
def test_rules_cannot_be_made_or_removed(caller: Caller, key: ApiKey, version: int) -> None:
    types = caller.types(key, version)
    if key is ApiKey.create_acls:
        one = types.AclCreation(**RULE)
        results = caller.call(key, version, creations=(one, one)).results
    else:
        one = types.DeleteAclsFilter(**FILTER)
        results = caller.call(key, version, filters=(one, one)).filter_results
    assert [int(result.error_code) for result in results] == [SECURITY_DISABLED] * 2


@pytest.mark.parametrize(
    ("key", "version"),
    every_version(
        ApiKey.describe_client_quotas,
        ApiKey.list_transactions,
        ApiKey.list_partition_reassignments,
        ApiKey.describe_user_scram_credentials,
    ),
)
def test_nothing_to_show(caller: Caller, key: ApiKey, version: int) -> None:
    answer = caller.call(
        key,
        version,
        components=(),
        strict=False,
        state_filters=(),
        producer_id_filters=(),
        duration_filter=-1,
        transactional_id_pattern=None,
        timeout=timedelta(seconds=1),
        topics=None,
        users=None,
    )
    assert answer.error_code == 0
    for shown in ("entries", "transaction_states", "topics", "results"):
        assert getattr(answer, shown, ()) == ()


def test_a_user_that_no_client_has_made(caller: Caller) -> None:
    key = ApiKey.describe_user_scram_credentials
    answer = caller.call(key, 0, users=(caller.types(key, 0).UserName(name="anna"),))
    assert [(r.user, int(r.error_code)) for r in answer.results] == [("anna", RESOURCE_NOT_FOUND)]


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.describe_delegation_token))
def test_tokens(caller: Caller, key: ApiKey, version: int) -> None:
    assert caller.call(key, version, owners=None).error_code == TOKENS_DISABLED


TOPIC_OPERATIONS = sum(1 << bit for bit in (3, 4, 5, 6, 7, 8, 10, 11))
CLUSTER_OPERATIONS = sum(1 << bit for bit in (5, 7, 8, 9, 10, 11, 12))


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.metadata))
def test_everybody_may_do_everything(caller: Caller, key: ApiKey, version: int) -> None:
    """And a topic that is asked for by its id is found, whatever the name says."""
    topic = caller.broker.logs.create_topic("t", 1)
    types = caller.types(key, version)
    by_id = {"name": "", "topic_id": topic.topic_id} if version >= 10 else {"name": "t"}
    for asked in (True, False):
        answer = caller.call(
            key,
            version,
            topics=(types.MetadataRequestTopic(**by_id),),
            allow_auto_topic_creation=False,
            include_cluster_authorized_operations=asked,
            include_topic_authorized_operations=asked,
        )
        (told,) = answer.topics
        assert (told.name, int(told.error_code)) == ("t", 0)
        if version >= 8:
            expected = TOPIC_OPERATIONS if asked else -(1 << 31)
            assert told.topic_authorized_operations == expected
        if 8 <= version <= 10:
            expected = CLUSTER_OPERATIONS if asked else -(1 << 31)
            assert answer.cluster_authorized_operations == expected


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.describe_cluster))
def test_everybody_may_do_everything_with_the_cluster(
    caller: Caller, key: ApiKey, version: int
) -> None:
    for asked, expected in ((True, CLUSTER_OPERATIONS), (False, -(1 << 31))):
        answer = caller.call(
            key,
            version,
            include_cluster_authorized_operations=asked,
            endpoint_type=1,
            include_fenced_brokers=False,
        )
        assert answer.cluster_authorized_operations == expected
