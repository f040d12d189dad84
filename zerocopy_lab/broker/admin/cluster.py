"""DescribeCluster, DescribeLogDirs and ElectLeaders: a cluster of one, as administrators' tools see
it.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zerocopy_lab.broker.addresses import Addresses
from zerocopy_lab.broker.authorized_operations import ON_CLUSTER, authorized
from zerocopy_lab.broker.serving import ASIDE, answers
from zerocopy_lab.errors import (
    ElectionNotNeeded,
    KafkaError,
    KafkaStorageError,
    MismatchedEndpointType,
    UnknownTopicOrPartition,
)
from zerocopy_lab.log import PartitionLog
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Request
from zerocopy_lab.protocol.versions import ApiKey

_BROKERS = 1  # endpoint type


class ClusterHandler:
    """Answers what is asked about the cluster."""

    def __init__(
        self,
        logs: LogDirectories,
        log_dirs: Sequence[Path],
        addresses: Addresses,
    ) -> None:
        self._logs = logs
        self._log_dirs = log_dirs
        self._addresses = addresses

    @answers(ApiKey.describe_cluster, 0, 2, "1: brokers or controllers; 2: fenced ones, too")
    def describe_cluster(self, request: Any, context: Request) -> messages.Entity:
        """The one broker, which is its own controller."""
        if getattr(request, "endpoint_type", _BROKERS) != _BROKERS:
            raise MismatchedEndpointType("this is a broker, there is no controller to talk to")
        types = messages.response_types(context.api_key, context.api_version)
        node_id, host, port = self._addresses.for_client(context.client)
        broker = messages.make(
            types.DescribeClusterBroker, broker_id=node_id, host=host, port=port, is_fenced=False
        )
        return messages.make(
            types.DescribeClusterResponse,
            error_code=messages.error_code(0),
            cluster_id=self._logs.cluster_id,
            controller_id=node_id,
            brokers=(broker,),
            cluster_authorized_operations=authorized(
                request, "include_cluster_authorized_operations", ON_CLUSTER
            ),
        )

    @answers(
        ApiKey.describe_log_dirs,
        1,
        4,
        "3: one error for the whole; 4: size of the disk",
        large_bytes=ASIDE,
    )
    def describe_log_dirs(self, request: Any, context: Request) -> messages.Entity:
        """What lies in which directory, in bytes. One that is offline has an error instead."""
        types = messages.response_types(context.api_key, context.api_version)
        results = [
            self._directory(types, path, logs)
            for path, logs in self._by_directory(request.topics).items()
        ]
        results += [_unusable(types, path) for path in self._logs.offline]
        return messages.make(
            types.DescribeLogDirsResponse,
            error_code=messages.error_code(0),
            results=tuple(results),
        )

    def _by_directory(self, topics: Any) -> dict[Path, list[PartitionLog]]:
        in_use = [path for path in self._log_dirs if path not in self._logs.offline]
        found: dict[Path, list[PartitionLog]] = {path: [] for path in in_use}
        wanted = (
            None if topics is None else {topic.topic: set(topic.partitions) for topic in topics}
        )
        for log in self._logs.logs():
            if wanted is None or log.partition in wanted.get(log.topic, ()):
                path = log.directory.parent
                if path in found:  # else it has just gone offline
                    found[path].append(log)
        return found

    def _directory(self, types: Any, path: Path, logs: list[PartitionLog]) -> Any:
        by_topic: dict[str, list[PartitionLog]] = defaultdict(list)
        for log in logs:
            by_topic[log.topic].append(log)
        try:
            disk = os.statvfs(path)
        except OSError:
            return _unusable(types, path)
        return messages.make(
            types.DescribeLogDirsResult,
            error_code=messages.error_code(0),
            log_dir=str(path.absolute()),
            topics=tuple(
                messages.make(
                    types.DescribeLogDirsTopic,
                    name=topic,
                    partitions=tuple(_partition(types, log) for log in logs),
                )
                for topic, logs in by_topic.items()
            ),
            total_bytes=disk.f_blocks * disk.f_frsize,
            usable_bytes=disk.f_bavail * disk.f_frsize,
        )

    @answers(ApiKey.elect_leaders, 0, 2, "1: one error for the whole", large_bytes=ASIDE)
    def elect_leaders(self, request: Any, context: Request) -> messages.Entity:
        """Every partition is led by its only replica, so there is never anything to elect."""
        types = messages.response_types(context.api_key, context.api_version)
        asked_for = request.topic_partitions or ()  # null: all that need an election, which is none
        results = tuple(
            messages.make(
                types.ReplicaElectionResult,
                topic=topic.topic,
                partition_result=tuple(
                    self._election(types, topic.topic, partition) for partition in topic.partitions
                ),
            )
            for topic in asked_for
        )
        return messages.make(
            types.ElectLeadersResponse,
            error_code=messages.error_code(0),
            replica_election_results=results,
        )

    def _election(self, types: Any, topic: str, partition: int) -> Any:
        error: KafkaError = ElectionNotNeeded("this broker leads the partition already")
        if self._logs.get(topic, partition) is None:
            error = UnknownTopicOrPartition(f"there is no partition {topic}-{partition}")
        return messages.make(
            types.PartitionResult,
            partition_id=partition,
            error_code=messages.error_code(error.code),
            error_message=str(error),
        )


def _unusable(types: Any, path: Path) -> Any:
    code = messages.error_code(KafkaStorageError.code)
    return messages.make(types.DescribeLogDirsResult, error_code=code, log_dir=str(path), topics=())


def _partition(types: Any, log: PartitionLog) -> Any:
    return messages.make(
        types.DescribeLogDirsPartition,
        partition_index=log.partition,
        partition_size=log.size_bytes,
        offset_lag=0,
        is_future_key=False,
    )
