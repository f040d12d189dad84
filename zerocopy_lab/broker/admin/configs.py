"""DescribeConfigs, AlterConfigs and IncrementalAlterConfigs: settings, read and changed while the
broker runs.

A topic's settings can be altered, and what the broker gives to topics that say nothing
(`log.retention.ms`); both are in force at once, and written down. The rest of the broker's are
given at its start and only shown; Kafka alters some more at run time (threads, certificates).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from zerocopy_lab.broker.admin.config_entries import (
    TOPIC_NAMES,
    ConfigEntry,
    broker_entries,
    default_entries,
    layers_of,
    topic_entries,
)
from zerocopy_lab.broker.admin.topic_changes import check_settings
from zerocopy_lab.broker.serving import ASIDE, answers
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.errors import (
    InvalidConfig,
    InvalidRequest,
    KafkaError,
    UnknownTopicOrPartition,
)
from zerocopy_lab.log import TopicInfo, TopicSettings
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Request
from zerocopy_lab.protocol.versions import ApiKey


class ResourceType(IntEnum):
    """What has settings; Kafka's `ConfigResource.Type`."""

    TOPIC = 2
    BROKER = 4


class Operation(IntEnum):
    """How IncrementalAlterConfigs changes one setting."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


class ConfigsHandler:
    """Answers the requests about settings. `more` are the network's, to be shown."""

    def __init__(
        self, logs: LogDirectories, settings: BrokerSettings, more: Mapping[str, str]
    ) -> None:
        self._logs = logs
        self._settings = settings
        self._more = more

    @answers(ApiKey.describe_configs, 1, 4, "3: types and descriptions", large_bytes=ASIDE)
    def describe_configs(self, request: Any, context: Request) -> messages.Entity:
        """Every setting of each resource, or those asked for by name."""
        types = messages.response_types(context.api_key, context.api_version)
        results = tuple(
            self._describe(types, resource, request.include_synonyms)
            for resource in {
                (r.resource_type, r.resource_name): r for r in request.resources
            }.values()
        )
        return messages.make(types.DescribeConfigsResponse, results=results)

    def _describe(self, types: Any, resource: Any, include_synonyms: bool) -> Any:
        error, entries = None, []
        try:
            entries = self._entries(resource.resource_type, resource.resource_name)
        except KafkaError as refusal:
            error = refusal
        # Kafka takes an empty list for "all" as well, and so do its clients.
        wanted = set(resource.configuration_keys or ())
        return messages.make(
            types.DescribeConfigsResult,
            **_outcome(resource, error),
            configs=tuple(
                _described(types, entry, include_synonyms)
                for entry in entries
                if not wanted or entry.name in wanted
            ),
        )

    def _entries(self, resource_type: int, name: str) -> list[ConfigEntry]:
        layers = layers_of(self._logs, self._settings)
        if resource_type == ResourceType.TOPIC:
            return topic_entries(self._topic(name).settings, layers)
        if resource_type == ResourceType.BROKER:
            self._check_broker(name)
            if not name:
                return default_entries(self._logs.of_brokers.get("", {}))
            return broker_entries(self._settings, layers, self._more)
        raise InvalidRequest(f"resources of type {resource_type} have no settings here")

    def _topic(self, name: str) -> TopicInfo:
        topic = self._logs.topics().get(name)
        if topic is None:
            raise UnknownTopicOrPartition(f"there is no topic {name}")
        return topic

    def _check_broker(self, name: str) -> None:
        if name not in ("", str(self._settings.node_id)):
            raise InvalidRequest(f"there is no broker {name}, only {self._settings.node_id}")

    @answers(ApiKey.alter_configs, 0, 2, "the same in all of them", large_bytes=ASIDE)
    def alter_configs(self, request: Any, context: Request) -> messages.Entity:
        """Exactly these settings, and the default for all others."""
        return self._alter(request, context, "AlterConfigsResponse", keeps_others=False)

    @answers(ApiKey.incremental_alter_configs, 0, 1, "the same in all of them", large_bytes=ASIDE)
    def incremental_alter_configs(self, request: Any, context: Request) -> messages.Entity:
        """One setting at a time; the others stay (KIP-339)."""
        return self._alter(request, context, "IncrementalAlterConfigsResponse", keeps_others=True)

    def _alter(
        self, request: Any, context: Request, response_name: str, *, keeps_others: bool
    ) -> messages.Entity:
        types = messages.response_types(context.api_key, context.api_version)
        mentions = Counter((r.resource_type, r.resource_name) for r in request.resources)
        responses = []
        for resource in request.resources:
            error = None
            try:
                if mentions[resource.resource_type, resource.resource_name] > 1:
                    raise InvalidRequest(f"{resource.resource_name} is named more than once")
                self._alter_one(resource, keeps_others, request.validate_only)
            except KafkaError as refusal:
                error = refusal
            response_type = types.AlterConfigsResourceResponse
            responses.append(messages.make(response_type, **_outcome(resource, error)))
        return messages.make(getattr(types, response_name), responses=tuple(responses))

    def _alter_one(self, resource: Any, keeps_others: bool, validate_only: bool) -> None:
        name = resource.resource_name
        if resource.resource_type == ResourceType.TOPIC:
            settings = self._topic(name).settings
            present, defaults = settings.overrides, self._logs.defaults
        elif resource.resource_type == ResourceType.BROKER:
            self._check_broker(name)
            settings, defaults = self._logs.defaults, self._settings.topic_defaults
            present = self._logs.of_brokers.get(name, {})
        else:
            raise InvalidRequest("only the settings of topics and brokers can be altered")
        overrides = dict(present) if keeps_others else {}
        in_force = settings.to_kafka()
        for config in resource.configs:
            _change(overrides, in_force, config, _name_in(resource.resource_type, config.name))
        wanted = TopicSettings.from_kafka(overrides, defaults)
        if resource.resource_type == ResourceType.BROKER:
            if not validate_only:
                self._logs.alter_defaults(name, overrides)
            return
        check_settings(name, wanted)
        if not validate_only:
            self._logs.alter_settings(name, overrides)


def _name_in(resource_type: int, name: str) -> str:
    """What a topic calls the setting."""
    if resource_type == ResourceType.TOPIC:
        return name
    if name not in TOPIC_NAMES:
        raise InvalidRequest(
            f"{name} cannot be altered while the broker runs, nor can others than "
            f"those of topics: {', '.join(TOPIC_NAMES)}"
        )
    return TOPIC_NAMES[name]


def _change(overrides: dict[str, str], in_force: Mapping[str, str], config: Any, name: str) -> None:
    operation = getattr(config, "config_operation", Operation.SET)
    if operation == Operation.SET:
        overrides[name] = _present(config)
    elif operation == Operation.DELETE:
        overrides.pop(name, None)
    elif operation in (Operation.APPEND, Operation.SUBTRACT):
        if name != "cleanup.policy":
            raise InvalidConfig(f"{name} is no list, so nothing can be added to it or taken away")
        given = _present(config).split(",")
        present = overrides.get(name, in_force[name]).split(",")
        kept = [item for item in present if item not in given]
        added = given if operation == Operation.APPEND else []
        overrides[name] = ",".join([*kept, *added])
    else:
        raise InvalidRequest(f"operation {operation} on {name} is unknown to this broker")


def _present(config: Any) -> str:
    if config.value is None:
        raise InvalidConfig(f"{config.name} has no value")
    return str(config.value)


def _outcome(resource: Any, error: KafkaError | None) -> dict[str, Any]:
    return {
        "error_code": messages.error_code(error.code if error else 0),
        "error_message": str(error) if error else None,
        "resource_type": resource.resource_type,
        "resource_name": resource.resource_name,
    }


def _described(types: Any, entry: ConfigEntry, include_synonyms: bool) -> messages.Entity:
    synonyms = entry.synonyms if include_synonyms else ()
    return messages.make(
        types.DescribeConfigsResourceResult,
        name=entry.name,
        value=entry.value,
        read_only=entry.read_only,
        config_source=entry.source,
        is_sensitive=False,
        synonyms=tuple(
            messages.make(types.DescribeConfigsSynonym, name=name, value=value, source=source)
            for name, value, source in synonyms
        ),
        config_type=entry.config_type,
        documentation=None,
    )
