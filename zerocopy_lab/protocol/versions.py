"""Which requests this broker answers, and in which versions.

A client asks ApiVersions first and then uses the highest version that both sides know, so a broker
may legally stop at any version. The caps here have reasons:

- Fetch <= 12 and OffsetCommit/OffsetFetch <= 9 keep topics addressed by name; later versions use
  topic ids.
- Produce is advertised from 0 although versions 0-2 are refused: librdkafka before 2.11.1 stops
  compressing when 0 is missing. Kafka 4 does the same. JoinGroup is advertised from 0 for the same
  client.

Source: the `validVersions` of Kafka's message definitions, and what real clients were seen to ask
for.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class ApiKey(IntEnum):
    """The number at the front of a request. Names as in Kafka's `ApiKeys`, in snake case."""

    __hash__ = int.__hash__  # an enum hashes its name, in Python; every request looks its key up

    produce = 0
    fetch = 1
    list_offsets = 2
    metadata = 3
    offset_commit = 8
    offset_fetch = 9
    find_coordinator = 10
    join_group = 11
    heartbeat = 12
    leave_group = 13
    sync_group = 14
    describe_groups = 15
    list_groups = 16
    sasl_handshake = 17
    api_versions = 18
    create_topics = 19
    delete_topics = 20
    delete_records = 21
    init_producer_id = 22
    offset_for_leader_epoch = 23
    describe_configs = 32
    alter_configs = 33
    describe_log_dirs = 35
    sasl_authenticate = 36
    create_partitions = 37
    delete_groups = 42
    elect_leaders = 43
    incremental_alter_configs = 44
    offset_delete = 47
    describe_cluster = 60


class VersionRange(NamedTuple):
    """Lowest and highest version, both included, and the first one with compact strings and tagged
    fields (KIP-482).
    """

    lowest: int
    highest: int
    flexible_from: int


NEVER = 1 << 15

VERSIONS: dict[ApiKey, VersionRange] = {
    ApiKey.produce: VersionRange(0, 9, 9),
    ApiKey.fetch: VersionRange(4, 11, 12),  # why not 12: see the module `fetch`
    ApiKey.list_offsets: VersionRange(1, 7, 6),
    ApiKey.metadata: VersionRange(0, 12, 9),
    ApiKey.offset_commit: VersionRange(2, 9, 8),
    ApiKey.offset_fetch: VersionRange(1, 9, 6),
    ApiKey.find_coordinator: VersionRange(0, 4, 3),
    ApiKey.join_group: VersionRange(0, 9, 6),
    ApiKey.heartbeat: VersionRange(0, 4, 4),
    ApiKey.leave_group: VersionRange(0, 5, 4),
    ApiKey.sync_group: VersionRange(0, 5, 4),
    ApiKey.describe_groups: VersionRange(0, 6, 5),
    ApiKey.list_groups: VersionRange(0, 5, 3),
    ApiKey.sasl_handshake: VersionRange(0, 1, NEVER),
    ApiKey.api_versions: VersionRange(0, 4, 3),
    ApiKey.create_topics: VersionRange(2, 7, 5),
    ApiKey.delete_topics: VersionRange(1, 6, 4),
    ApiKey.delete_records: VersionRange(0, 2, 2),
    ApiKey.init_producer_id: VersionRange(0, 4, 2),
    ApiKey.offset_for_leader_epoch: VersionRange(2, 4, 4),
    ApiKey.describe_configs: VersionRange(1, 4, 4),
    ApiKey.alter_configs: VersionRange(0, 2, 2),
    ApiKey.describe_log_dirs: VersionRange(1, 4, 2),
    ApiKey.sasl_authenticate: VersionRange(0, 2, 2),
    ApiKey.create_partitions: VersionRange(0, 3, 2),
    ApiKey.delete_groups: VersionRange(0, 2, 2),
    ApiKey.elect_leaders: VersionRange(0, 2, 2),
    ApiKey.incremental_alter_configs: VersionRange(0, 1, 1),
    ApiKey.offset_delete: VersionRange(0, 0, NEVER),
    ApiKey.describe_cluster: VersionRange(0, 1, 0),
}

#: The keys by their numbers: one look-up, where `ApiKey(number)` takes ten times as long.
API_KEYS: dict[int, ApiKey] = {int(key): key for key in VERSIONS}

#: The versions of Produce below this one carry the message formats of before 2017; they are
#: advertised, and refused.
LOWEST_PRODUCE_SERVED = 3
