"""Metadata: who serves which partition. Always "I do" here, and the question may create a topic.

Asking for an unknown topic creates it when both sides allow it (`auto.create.topics.enable` and the
request's own flag), as in Kafka; unlike Kafka, which answers "not yet" first, this broker answers
with the new topic at once.
"""

from __future__ import annotations

from typing import Any

from zerocopy_lab.broker.addresses import Addresses
from zerocopy_lab.broker.admin.topic_changes import TopicChanges
from zerocopy_lab.broker.authorized_operations import ON_CLUSTER, ON_TOPIC, authorized
from zerocopy_lab.broker.serving import ASIDE, answers
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.errors import (
    KafkaError,
    LeaderNotAvailable,
    TopicAlreadyExists,
    UnknownTopicOrPartition,
)
from zerocopy_lab.log import TopicInfo
from zerocopy_lab.log.file_names import INTERNAL_TOPICS
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Request
from zerocopy_lab.protocol.versions import ApiKey

_MAY_ANSWER_WITHOUT_NAME = 12


class MetadataHandler:
    """Answers Metadata."""

    def __init__(
        self,
        logs: LogDirectories,
        settings: BrokerSettings,
        changes: TopicChanges,
        addresses: Addresses,
    ) -> None:
        self._logs = logs
        self._settings = settings
        self._changes = changes
        self._addresses = addresses

    @answers(
        ApiKey.metadata,
        0,
        13,
        "1: null asks for all; 4: may it create; 8: what one is allowed to do; 10: topic ids; "
        "12: a topic by its id alone; 13: one error for the whole",
        large_bytes=ASIDE,
    )
    def metadata(self, request: Any, context: Request) -> messages.Entity:
        """This broker, the cluster's id, and the topics asked for (all when none is named)."""
        types = messages.response_types(ApiKey.metadata, context.api_version)
        node_id, host, port = self._addresses.for_client(context.client)
        return messages.make(
            types.MetadataResponse,
            brokers=(
                messages.make(types.MetadataResponseBroker, node_id=node_id, host=host, port=port),
            ),
            cluster_id=self._logs.cluster_id,
            controller_id=node_id,
            cluster_authorized_operations=authorized(
                request, "include_cluster_authorized_operations", ON_CLUSTER
            ),
            topics=tuple(self._topics(request, context.api_version, types)),
            error_code=messages.error_code(0),
        )

    def _topics(self, request: Any, version: int, types: Any) -> list[Any]:
        # In version 0 an empty list meant "all"; since version 1 it means "none", and null means
        # "all".
        if request.topics is None or (version == 0 and not request.topics):
            known = self._logs.topics()
            return [self._topic(types, request, name, known[name]) for name in sorted(known)]
        # Who names a topic of many partitions ten thousand times is told of it once, as by Kafka.
        once = {(topic.name, getattr(topic, "topic_id", None)): topic for topic in request.topics}
        return [self._answer_one(wanted, request, types, version) for wanted in once.values()]

    def _answer_one(self, wanted: Any, request: Any, types: Any, version: int) -> Any:
        topic_id = getattr(wanted, "topic_id", None)
        name = wanted.name if topic_id is None else None  # Java's client sends an id and ""
        may_create = self._settings.auto_create_topics_enable and getattr(
            request, "allow_auto_topic_creation", True
        )
        try:
            if name is None:
                name = self._logs.name_of(topic_id)
            return self._topic(types, request, name, self._find_or_create(name, may_create))
        except KafkaError as error:
            return messages.make(
                types.MetadataResponseTopic,
                error_code=messages.error_code(error.code),
                name=name if name is not None or version >= _MAY_ANSWER_WITHOUT_NAME else "",
                topic_id=topic_id,
                partitions=(),
            )

    def _find_or_create(self, name: str, may_create: bool) -> TopicInfo:
        known = self._logs.topics().get(name)
        if known is not None:
            return known
        if not may_create or name in INTERNAL_TOPICS:  # those come with settings of their own
            raise UnknownTopicOrPartition(name)
        try:
            created = self._changes.create(name)
            assert created is not None, "only a validation creates nothing"
            return created
        except TopicAlreadyExists:  # by another network thread, a moment ago; or it is deleted now
            if (found := self._logs.topics().get(name)) is None:
                raise UnknownTopicOrPartition(name) from None
            return found

    def _topic(self, types: Any, request: Any, name: str, topic: TopicInfo) -> Any:
        return messages.make(
            types.MetadataResponseTopic,
            error_code=messages.error_code(0),
            name=name,
            topic_id=topic.topic_id,
            topic_authorized_operations=authorized(
                request, "include_topic_authorized_operations", ON_TOPIC
            ),
            is_internal=name in INTERNAL_TOPICS,
            partitions=tuple(
                self._partition(types, name, index) for index in range(topic.partitions)
            ),
        )

    def _partition(self, types: Any, topic: str, index: int) -> Any:
        node_id = self._settings.node_id
        log = self._logs.get(topic, index)
        error, leader_id = (0, node_id) if log else (LeaderNotAvailable.code, -1)
        return messages.make(
            types.MetadataResponsePartition,
            error_code=messages.error_code(error),
            partition_index=index,
            leader_id=leader_id,
            # A consumer that has seen a later epoch (in a batch) would not believe an older one.
            leader_epoch=log.leader_epoch if log else -1,
            replica_nodes=(node_id,),
            isr_nodes=(node_id,) if log else (),
            offline_replicas=() if log else (node_id,),
        )
