"""CreateTopics and DeleteTopics."""

from __future__ import annotations

from typing import Any

from zerocopy_lab.broker.dispatch import Handler, RequestContext
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.errors import InvalidReplicationFactor, InvalidRequest, KafkaError
from zerocopy_lab.log import LogDirectories
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.versions import ApiKey


class TopicsHandler:
    """Answers CreateTopics and DeleteTopics."""

    def __init__(self, logs: LogDirectories, settings: BrokerSettings) -> None:
        self._logs = logs
        self._settings = settings

    def handlers(self) -> dict[ApiKey, Handler]:
        """The requests of this family."""
        return {
            ApiKey.create_topics: self.create_topics,
            ApiKey.delete_topics: self.delete_topics,
        }

    def create_topics(self, request: Any, context: RequestContext) -> messages.Entity:
        """Every topic stands for itself: one that fails does not keep the others away."""
        types = messages.response_types(ApiKey.create_topics, context.api_version)
        names = [wanted.name for wanted in request.topics]
        return messages.make(
            types.CreateTopicsResponse,
            topics=tuple(
                self._create(types, wanted, names.count(wanted.name), request.validate_only)
                for wanted in request.topics
            ),
        )

    def _create(self, types: Any, wanted: Any, mentions: int, validate_only: bool) -> Any:
        try:
            if mentions > 1:
                raise InvalidRequest(f"{wanted.name} is named {mentions} times in one request")
            if wanted.replication_factor not in (-1, 1):
                raise InvalidReplicationFactor(
                    f"replication factor {wanted.replication_factor}, but there is 1 broker"
                )
            count = wanted.num_partitions
            topic = self._logs.create_topic(
                wanted.name,
                self._settings.num_partitions if count == -1 else count,
                {config.name: config.value for config in wanted.configs},
            )
        except KafkaError as error:
            return messages.make(
                types.CreatableTopicResult,
                name=wanted.name,
                topic_id=None,
                error_code=messages.error_code(error.code),
                error_message=str(error),
                configs=(),
            )
        return messages.make(
            types.CreatableTopicResult,
            name=wanted.name,
            topic_id=topic.topic_id,
            error_code=messages.error_code(0),
            error_message=None,
            num_partitions=topic.partitions,
            replication_factor=1,
            configs=(),
        )

    def delete_topics(self, request: Any, context: RequestContext) -> messages.Entity:
        """The topic is gone for clients at once; its files follow after `file.delete.delay.ms`."""
        types = messages.response_types(ApiKey.delete_topics, context.api_version)
        return messages.make(
            types.DeleteTopicsResponse,
            responses=tuple(self._delete(types, name) for name in request.topic_names),
        )

    def _delete(self, types: Any, name: str) -> Any:
        code, message = 0, None
        try:
            self._logs.delete_topic(name)
        except KafkaError as error:
            code, message = error.code, str(error)
        return messages.make(
            types.DeletableTopicResult,
            name=name,
            error_code=messages.error_code(code),
            error_message=message,
        )
