"""ConsumerGroupHeartbeat and ConsumerGroupDescribe (KIP-848): messages, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from zerocopy_lab.broker.groups.admin_handlers import operations_of
from zerocopy_lab.broker.groups.assignors import NO_SLOTS, Slots
from zerocopy_lab.broker.groups.consumer_coordinator import (
    ConsumerCoordinator,
    ConsumerHeartbeat,
    new_member_id,
)
from zerocopy_lab.broker.groups.consumer_group import ConsumerGroup, ConsumerMember
from zerocopy_lab.broker.groups.consumer_records import by_topic
from zerocopy_lab.broker.serving import ASIDE, answers
from zerocopy_lab.errors import GroupIdNotFound
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Request
from zerocopy_lab.protocol.versions import ApiKey

_MEMBER_BRINGS_ITS_ID = 1
_OF_THE_NEW_PROTOCOL = 1  # a member's type


class ConsumerGroupHandlers:
    """The requests that only consumer groups have."""

    def __init__(self, coordinator: ConsumerCoordinator, logs: LogDirectories) -> None:
        self._coordinator = coordinator
        self._logs = logs

    @answers(
        ApiKey.consumer_group_heartbeat,
        0,
        1,
        "1: the member's id is its own; a regular expression, which is refused",
    )
    def heartbeat(self, request: Any, context: Request) -> messages.Entity:
        """One step of a member: in, on, or out."""
        member_id = request.member_id
        if not member_id and context.api_version < _MEMBER_BRINGS_ITS_ID:
            member_id = new_member_id()
        names, owns = request.subscribed_topic_names, request.topic_partitions
        result = self._coordinator.heartbeat(
            ConsumerHeartbeat(
                request.group_id,
                member_id,
                request.member_epoch,
                client_id=context.client_id or "",
                client_host=f"/{context.client.host}",  # as Java prints an address
                instance_id=request.instance_id,
                rack_id=request.rack_id,
                rebalance_timeout_ms=request.rebalance_timeout // timedelta(milliseconds=1),
                topic_names=None if names is None else tuple(names),
                topic_regex=getattr(request, "subscribed_topic_regex", None),
                assignor=request.server_assignor,
                owns=None if owns is None else _slots(owns),
            )
        )
        types = messages.response_types(context.api_key, context.api_version)
        interval_ms = self._coordinator.settings.group_consumer_heartbeat_interval_ms
        assignment = None if result.assignment is None else _assignment(types, result.assignment)
        return messages.make(
            types.ConsumerGroupHeartbeatResponse,
            error_code=messages.error_code(0),
            member_id=result.member_id,
            member_epoch=result.epoch,
            heartbeat_interval=timedelta(milliseconds=interval_ms),
            assignment=assignment,
        )

    @answers(
        ApiKey.consumer_group_describe, 0, 1, "1: of which protocol a member is", large_bytes=ASIDE
    )
    def describe(self, request: Any, context: Request) -> messages.Entity:
        """State, epochs, and for each member what it reads and is to read."""
        types = messages.response_types(context.api_key, context.api_version)
        names = {topic.topic_id: name for name, topic in self._logs.topics().items()}
        operations = operations_of(request)
        groups = [
            self._coordinator.look_at(group_id, lambda g: _described(types, g, names, operations))
            or _unknown(types, group_id)
            for group_id in dict.fromkeys(request.group_ids)
        ]
        return messages.make(types.ConsumerGroupDescribeResponse, groups=tuple(groups))


def _slots(topics: Any) -> Slots:
    return frozenset(
        (topic.topic_id or UUID(int=0), partition)
        for topic in topics
        for partition in topic.partitions
    )


def _assignment(
    types: Any, slots: Slots, names: Mapping[UUID, str] | None = None
) -> messages.Entity:
    """With `names` for people; a topic that is gone has none, and is left out."""
    return types.Assignment(
        topic_partitions=tuple(
            messages.make(
                types.TopicPartitions,
                topic_id=topic_id,
                topic_name=names[topic_id] if names else "",
                partitions=tuple(partitions),
            )
            for topic_id, partitions in by_topic(slots).items()
            if names is None or topic_id in names
        )
    )


def _described(
    types: Any, group: ConsumerGroup, names: Mapping[UUID, str], operations: int
) -> messages.Entity:
    return messages.make(
        types.DescribedGroup,
        error_code=messages.error_code(0),
        group_id=group.group_id,
        group_state=group.state,
        group_epoch=group.epoch,
        assignment_epoch=group.target_epoch,
        assignor_name=group.assignor_name,
        members=tuple(
            _member(types, member, group.targets.get(member.member_id, NO_SLOTS), names)
            for member in group.members.values()
        ),
        authorized_operations=operations,
    )


def _member(
    types: Any, member: ConsumerMember, target: Slots, names: Mapping[UUID, str]
) -> messages.Entity:
    said = member.subscription
    return messages.make(
        types.Member,
        member_id=member.member_id,
        instance_id=said.instance_id,
        rack_id=said.rack_id,
        member_epoch=member.epoch,
        client_id=said.client_id,
        client_host=said.client_host,
        subscribed_topic_names=said.topic_names,
        subscribed_topic_regex=said.topic_regex,
        assignment=_assignment(types, member.owns, names),
        target_assignment=_assignment(types, target, names),
        member_type=_OF_THE_NEW_PROTOCOL,
    )


def _unknown(types: Any, group_id: str) -> messages.Entity:
    return messages.make(
        types.DescribedGroup,
        error_code=messages.error_code(GroupIdNotFound.code),
        error_message=f"Group {group_id} is not a consumer group.",
        group_id=group_id,
        group_state="",
        group_epoch=0,
        assignment_epoch=0,
        assignor_name="",
        members=(),
    )
