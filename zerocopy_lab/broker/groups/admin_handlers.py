"""DescribeGroups, ListGroups and DeleteGroups: what `kafka-consumer-groups` shows and does."""

from __future__ import annotations

from functools import partial
from typing import Any

from zerocopy_lab.broker.authorized_operations import ON_GROUP, authorized
from zerocopy_lab.broker.groups.classic_coordinator import ClassicCoordinator
from zerocopy_lab.broker.groups.classic_group import ClassicGroup
from zerocopy_lab.broker.groups.classic_member import ClassicMember
from zerocopy_lab.broker.groups.classic_states import ClassicState
from zerocopy_lab.broker.groups.offsets import CommittedOffsets
from zerocopy_lab.broker.serving import ASIDE, answers
from zerocopy_lab.errors import GroupIdNotFound, KafkaError
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Request
from zerocopy_lab.protocol.versions import ApiKey

_DESCRIBE_REPORTS_UNKNOWN_GROUPS = 6


class GroupAdminHandlers:
    """The requests of those who look at groups from outside."""

    def __init__(self, coordinator: ClassicCoordinator, offsets: CommittedOffsets) -> None:
        self._coordinator = coordinator
        self._offsets = offsets

    @answers(
        ApiKey.describe_groups,
        0,
        6,
        "4: static members; 6: an error for an unknown group",
        large_bytes=ASIDE,
    )
    def describe_groups(self, request: Any, context: Request) -> messages.Entity:
        """State, protocol and members. A group that nobody knows is Dead, and an error since
        version 6.
        """
        types = messages.response_types(context.api_key, context.api_version)
        describe = partial(self._describe, types, operations_of(request), context.api_version)
        groups = tuple(describe(group_id) for group_id in dict.fromkeys(request.groups))
        return messages.make(types.DescribeGroupsResponse, groups=groups)

    def _describe(self, types: Any, operations: int, version: int, group_id: str) -> Any:
        with self._coordinator.lock.held():  # for one group: heartbeats want it in between
            group = self._coordinator.groups.get(group_id)
            if isinstance(group, ClassicGroup):
                return _described(types, group, operations)
        return _unknown(types, group_id, version)

    @answers(ApiKey.list_groups, 0, 5, "4: states; 5: types", large_bytes=ASIDE)
    def list_groups(self, request: Any, context: Request) -> messages.Entity:
        """All groups, or those in the states and of the types asked for; case does not matter."""
        types = messages.response_types(context.api_key, context.api_version)
        states = {state.lower() for state in getattr(request, "states_filter", ())}
        kinds = {kind.lower() for kind in getattr(request, "types_filter", ())}
        with self._coordinator.lock.held():
            known = list(self._coordinator.groups.values())
        groups = tuple(
            messages.make(
                types.ListedGroup,
                group_id=group.group_id,
                protocol_type=group.protocol_type or "",
                group_state=str(group.state),
                group_type=group.kind,
            )
            for group in known
            if not states or group.state.lower() in states
            if not kinds or group.kind in kinds
        )
        return messages.make(
            types.ListGroupsResponse, error_code=messages.error_code(0), groups=groups
        )

    @answers(ApiKey.delete_groups, 0, 2, "the same in all of them", large_bytes=ASIDE)
    def delete_groups(self, request: Any, context: Request) -> messages.Entity:
        """Groups without members, each with a result of its own."""
        types = messages.response_types(context.api_key, context.api_version)
        results = tuple(self._delete(types, group_id) for group_id in request.groups_names)
        return messages.make(types.DeleteGroupsResponse, results=results)

    def _delete(self, types: Any, group_id: str) -> messages.Entity:
        code = 0
        try:
            self._offsets.delete_group(group_id)
        except KafkaError as error:
            code = error.code
        return messages.make(
            types.DeletableGroupResult, group_id=group_id, error_code=messages.error_code(code)
        )


def operations_of(request: Any) -> int:
    """The bit field of what the client may do, if it has asked for it."""
    return authorized(request, "include_authorized_operations", ON_GROUP)


def _described(types: Any, group: ClassicGroup, operations: int) -> messages.Entity:
    # During a rebalance subscriptions and assignments are about to change, so Kafka shows none.
    settled = group.state is ClassicState.STABLE
    return messages.make(
        types.DescribedGroup,
        error_code=messages.error_code(0),
        group_id=group.group_id,
        group_state=group.state.value,
        protocol_type=group.protocol_type or "",
        protocol_data=(group.protocol_name or "") if settled else "",
        members=tuple(
            _described_member(types, member, group.protocol_name if settled else None)
            for member in group.members.values()
        ),
        authorized_operations=operations,
    )


def _described_member(
    types: Any, member: ClassicMember, protocol_name: str | None
) -> messages.Entity:
    return messages.make(
        types.DescribedGroupMember,
        member_id=member.member_id,
        group_instance_id=member.group_instance_id,
        client_id=member.client_id,
        client_host=member.client_host,
        member_metadata=member.protocols.get(protocol_name, b"") if protocol_name else b"",
        member_assignment=member.assignment if protocol_name else b"",
    )


def _unknown(types: Any, group_id: str, version: int) -> messages.Entity:
    code, message = 0, None
    if version >= _DESCRIBE_REPORTS_UNKNOWN_GROUPS:
        code, message = GroupIdNotFound.code, f"ClassicGroup {group_id} not found."
    return messages.make(
        types.DescribedGroup,
        error_code=messages.error_code(code),
        error_message=message,
        group_id=group_id,
        group_state=ClassicState.DEAD.value,
        protocol_type="",
        protocol_data="",
        members=(),
    )
