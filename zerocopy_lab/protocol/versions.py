"""The requests of Kafka's protocol by their numbers, and how versions are spoken of.

A client asks ApiVersions first and then uses the highest version that both sides know, so a broker
may legally stop at any version. Which requests this broker serves, and up to which version, is said
beside the code that answers each (`broker.serving`); what changed from version to version, too.

Left out: what only brokers and controllers say to each other.

Source: the `apiKey`, `validVersions` and `flexibleVersions` of Kafka's message definitions.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, Self

from zerocopy_lab.errors import FrameError

NEVER = 1 << 15


class ApiKey(IntEnum):
    """The number at the front of a request, and its first version with compact strings and tagged
    fields (KIP-482). Names as in Kafka's `ApiKeys`, in snake case.
    """

    flexible_from: int

    def __new__(cls, number: int, flexible_from: int = NEVER) -> Self:
        """The member of this number."""
        member = int.__new__(cls, number)
        member._value_, member.flexible_from = number, flexible_from
        return member

    __hash__ = int.__hash__  # an enum hashes its name, in Python; every request looks its key up

    produce = 0, 9
    fetch = 1, 12
    list_offsets = 2, 6
    metadata = 3, 9
    offset_commit = 8, 8
    offset_fetch = 9, 6
    find_coordinator = 10, 3
    join_group = 11, 6
    heartbeat = 12, 4
    leave_group = 13, 4
    sync_group = 14, 4
    describe_groups = 15, 5
    list_groups = 16, 3
    sasl_handshake = 17
    api_versions = 18, 3
    create_topics = 19, 5
    delete_topics = 20, 4
    delete_records = 21, 2
    init_producer_id = 22, 2
    offset_for_leader_epoch = 23, 4
    add_partitions_to_txn = 24, 3
    add_offsets_to_txn = 25, 3
    end_txn = 26, 3
    txn_offset_commit = 28, 3
    describe_acls = 29, 2
    create_acls = 30, 2
    delete_acls = 31, 2
    describe_configs = 32, 4
    alter_configs = 33, 2
    alter_replica_log_dirs = 34, 2
    describe_log_dirs = 35, 2
    sasl_authenticate = 36, 2
    create_partitions = 37, 2
    create_delegation_token = 38, 2
    renew_delegation_token = 39, 2
    expire_delegation_token = 40, 2
    describe_delegation_token = 41, 2
    delete_groups = 42, 2
    elect_leaders = 43, 2
    incremental_alter_configs = 44, 1
    alter_partition_reassignments = 45, 0
    list_partition_reassignments = 46, 0
    offset_delete = 47
    describe_client_quotas = 48, 1
    alter_client_quotas = 49, 1
    describe_user_scram_credentials = 50, 0
    alter_user_scram_credentials = 51, 0
    describe_quorum = 55, 0
    update_features = 57, 0
    describe_cluster = 60, 0
    describe_producers = 61, 0
    unregister_broker = 64, 0
    describe_transactions = 65, 0
    list_transactions = 66, 0
    consumer_group_heartbeat = 68, 0
    consumer_group_describe = 69, 0
    get_telemetry_subscriptions = 71, 0
    push_telemetry = 72, 0
    list_config_resources = 74, 0
    describe_topic_partitions = 75, 0
    share_group_heartbeat = 76, 1
    share_group_describe = 77, 1
    share_fetch = 78, 1
    share_acknowledge = 79, 1
    streams_group_heartbeat = 88, 0
    streams_group_describe = 89, 0
    describe_share_group_offsets = 90, 0
    alter_share_group_offsets = 91, 0
    delete_share_group_offsets = 92, 0


#: The keys by their numbers: one look-up, where `ApiKey(number)` takes ten times as long.
API_KEYS: dict[int, ApiKey] = {int(key): key for key in ApiKey}


class VersionRange(NamedTuple):
    """Which versions of a request are served: lowest and highest, both included."""

    api_key: ApiKey
    lowest: int
    highest: int


class Unserved(FrameError):
    """A request that is not among those served, or not in this version; `key`, `version` and
    `correlation_id` are all that is certain about it.
    """

    def __init__(self, key: int, version: int, correlation_id: int) -> None:
        name = API_KEYS[key].name if key in API_KEYS else f"request {key}"
        super().__init__(f"{name} version {version} is not served here")
        self.key, self.version, self.correlation_id = key, version, correlation_id
