"""CreateTopics, CreatePartitions and DeleteTopics: every topic in a request stands for itself.

One that fails does not keep the others from being made. All three are done when they are answered,
so the time that a request allows for them (`timeout`) does not matter here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from zerocopy_lab.broker.admin.config_entries import Layers, topic_entries
from zerocopy_lab.broker.admin.topic_changes import TopicChanges
from zerocopy_lab.broker.serving import ASIDE, answers
from zerocopy_lab.errors import InvalidRequest, KafkaError
from zerocopy_lab.log import TopicInfo
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Request
from zerocopy_lab.protocol.versions import ApiKey

_DELETE_KNOWS_TOPIC_IDS = 6

T = TypeVar("T")


class TopicsHandler:
    """Answers the requests that change which topics there are."""

    def __init__(self, logs: LogDirectories, changes: TopicChanges) -> None:
        self._logs = logs
        self._changes = changes

    @answers(
        ApiKey.create_topics,
        2,
        7,
        "4: the broker's defaults; 5: settings are told; 7: topic ids",
        large_bytes=ASIDE,
    )
    def create_topics(self, request: Any, context: Request) -> messages.Entity:
        """Since version 5 the answer tells the settings of each new topic."""
        types = messages.response_types(context.api_key, context.api_version)
        create = partial(self._create, validate_only=request.validate_only)
        topics = tuple(
            messages.make(
                types.CreatableTopicResult,
                name=name,
                topic_id=topic.topic_id if topic else None,
                **_result(error),
                num_partitions=topic.partitions if topic else -1,
                replication_factor=1 if topic else -1,
                configs=_settings_of(types, topic, self._changes.layers()) if topic else (),
            )
            for name, topic, error in _each_for_itself(request.topics, create)
        )
        return messages.make(types.CreateTopicsResponse, topics=topics)

    def _create(self, wanted: Any, *, validate_only: bool) -> TopicInfo | None:
        return self._changes.create(
            wanted.name,
            wanted.num_partitions,
            wanted.replication_factor,
            {part.partition_index: part.broker_ids for part in wanted.assignments},
            {config.name: config.value for config in wanted.configs},
            validate_only=validate_only,
        )

    @answers(ApiKey.create_partitions, 0, 3, "the same in all of them", large_bytes=ASIDE)
    def create_partitions(self, request: Any, context: Request) -> messages.Entity:
        """Topics only grow: the key of a record decides its partition, so fewer would mix keys."""
        types = messages.response_types(context.api_key, context.api_version)
        extend = partial(self._extend, validate_only=request.validate_only)
        results = tuple(
            messages.make(types.CreatePartitionsTopicResult, name=name, **_result(error))
            for name, _, error in _each_for_itself(request.topics, extend)
        )
        return messages.make(types.CreatePartitionsResponse, results=results)

    def _extend(self, wanted: Any, *, validate_only: bool) -> None:
        given = wanted.assignments
        assignments = None if given is None else [part.broker_ids for part in given]
        self._changes.extend(wanted.name, wanted.count, assignments, validate_only=validate_only)

    @answers(ApiKey.delete_topics, 1, 6, "5: error messages; 6: topic ids", large_bytes=ASIDE)
    def delete_topics(self, request: Any, context: Request) -> messages.Entity:
        """The topic is gone for clients at once; its files follow after `file.delete.delay.ms`."""
        types = messages.response_types(context.api_key, context.api_version)
        if context.api_version < _DELETE_KNOWS_TOPIC_IDS:
            wanted: list[tuple[str | None, UUID | None]] = [(n, None) for n in request.topic_names]
        else:
            wanted = [(topic.name, topic.topic_id) for topic in request.topics]
        responses = tuple(self._delete(types, name, topic_id) for name, topic_id in wanted)
        return messages.make(types.DeleteTopicsResponse, responses=responses)

    def _delete(self, types: Any, name: str | None, topic_id: UUID | None) -> Any:
        error = None
        try:
            if topic_id is not None or name is None:
                name = self._logs.name_of(topic_id)
            self._changes.delete(name)
        except KafkaError as refusal:
            error = refusal
        return messages.make(
            types.DeletableTopicResult, name=name, topic_id=topic_id, **_result(error)
        )


def _each_for_itself(
    wanted_topics: Sequence[Any], act: Callable[[Any], T]
) -> Iterator[tuple[str, T | None, KafkaError | None]]:
    """(name, what `act` returned, None) of each, or (name, None, why not). A topic that is named
    twice is refused: who knows which one was meant.
    """
    mentions = Counter(wanted.name for wanted in wanted_topics)
    for wanted in wanted_topics:
        name = wanted.name
        try:
            if mentions[name] > 1:
                raise InvalidRequest(f"{name} is named {mentions[name]} times in one request")
            yield name, act(wanted), None
        except KafkaError as refusal:
            yield name, None, refusal


def _result(error: KafkaError | None) -> dict[str, Any]:
    return {
        "error_code": messages.error_code(error.code if error else 0),
        "error_message": str(error) if error else None,
    }


def _settings_of(types: Any, topic: TopicInfo, layers: Layers) -> tuple[Any, ...] | None:
    if not hasattr(types, "CreatableTopicConfigs"):
        return None  # before version 5
    return tuple(
        messages.make(
            types.CreatableTopicConfigs,
            name=entry.name,
            value=entry.value,
            read_only=False,
            config_source=entry.source,
            is_sensitive=False,
        )
        for entry in topic_entries(topic.settings, layers)
    )
