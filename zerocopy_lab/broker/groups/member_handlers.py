"""JoinGroup, SyncGroup, Heartbeat, LeaveGroup and FindCoordinator: from Kafka's messages to the
group's rules and back.

JoinGroup and SyncGroup are answered later, when all members are there; meanwhile their connection
is left alone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from zerocopy_lab.broker.addresses import Addresses
from zerocopy_lab.broker.groups.classic_coordinator import ClassicCoordinator
from zerocopy_lab.broker.groups.classic_member import (
    JoinRequest,
    JoinResult,
    SyncRequest,
    SyncResult,
)
from zerocopy_lab.broker.groups.consumer_coordinator import ConsumerCoordinator
from zerocopy_lab.broker.serving import answers, serves
from zerocopy_lab.errors import (
    InconsistentGroupProtocol,
    InvalidRequest,
    KafkaError,
    TransactionalIdAuthorizationFailed,
)
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Reply, Request
from zerocopy_lab.protocol.later import Later
from zerocopy_lab.protocol.versions import ApiKey

_GROUP_KEY_TYPE = 0
_TRANSACTION_KEY_TYPE = 1

# What a version brought, by its number.
_JOIN_ASKS_FOR_MEMBER_ID = 4
_JOIN_MAY_ANSWER_WITHOUT_PROTOCOL = 7
_JOIN_MAY_SKIP_ASSIGNMENT = 9
_SYNC_NAMES_THE_PROTOCOL = 5
_LEAVE_TAKES_MANY = 3
_FIND_TAKES_MANY = 4


class GroupHandlers:
    """The requests of a group's members."""

    def __init__(
        self, coordinator: ClassicCoordinator, consumers: ConsumerCoordinator, addresses: Addresses
    ) -> None:
        self._coordinator = coordinator
        self._consumers = consumers
        self._addresses = addresses

    @answers(
        ApiKey.find_coordinator,
        0,
        6,
        "1: types of key; 4: several keys; 5 and 6: other types of key, which are refused",
    )
    def find_coordinator(self, request: Any, context: Request) -> messages.Entity:
        """This broker coordinates every group; transactions it refuses, so that nobody waits for
        them.
        """
        types = messages.response_types(context.api_key, context.api_version)
        key_type = getattr(request, "key_type", _GROUP_KEY_TYPE)
        if context.api_version < _FIND_TAKES_MANY:
            found = types.FindCoordinatorResponse
            return self._coordinator_of(found, request.key, key_type, context)
        several = (
            self._coordinator_of(types.Coordinator, key, key_type, context)
            for key in request.coordinator_keys
        )
        return messages.make(types.FindCoordinatorResponse, coordinators=tuple(several))

    def _coordinator_of(
        self, entity_type: type[Any], key: str, key_type: int, context: Request
    ) -> messages.Entity:
        node_id, host, port = self._addresses.for_client(context.client)
        error: KafkaError | None = None
        if key_type == _TRANSACTION_KEY_TYPE:
            # librdkafka, which speaks version 2 at most, takes no other code for final; Java, which
            # speaks the newest, shows our words with any code but this one. (kafkajs throws "failed
            # to find group coordinator" whatever the code; what the code says is in its log only.)
            old = context.api_version < _FIND_TAKES_MANY
            error = (TransactionalIdAuthorizationFailed if old else InvalidRequest)(
                "this broker has no transactions: leave out transactional.id"
            )
        elif key_type != _GROUP_KEY_TYPE:
            error = InvalidRequest(f"coordinators of type {key_type} are unknown to this broker")
        if error is not None:
            node_id, host, port = -1, "", -1
        return messages.make(
            entity_type,
            key=key,
            node_id=node_id,
            host=host,
            port=port,
            error_code=messages.error_code(error.code if error else 0),
            error_message=str(error) if error else None,
        )

    @serves(
        ApiKey.join_group,
        0,
        9,
        "4: a member id first; 5: static members; 7: null for no protocol; 9: skips an assignment",
    )
    def join_group(self, context: Request) -> Reply:
        """Answered when the new generation is complete, or at once with an error."""
        request, version = messages.body_of(context), context.api_version
        session_timeout_ms = _milliseconds(request.session_timeout)
        rebalance_timeout = getattr(request, "rebalance_timeout", request.session_timeout)
        join = JoinRequest(
            group_id=request.group_id,
            member_id=request.member_id,
            group_instance_id=getattr(request, "group_instance_id", None),
            client_id=context.client_id or "",
            client_host=f"/{context.client.host}",  # as Java prints an address
            session_timeout_ms=session_timeout_ms,
            rebalance_timeout_ms=_milliseconds(rebalance_timeout),
            protocol_type=request.protocol_type,
            protocols={protocol.name: protocol.metadata for protocol in request.protocols},
            needs_member_id=version >= _JOIN_ASKS_FOR_MEMBER_ID,
            may_skip_assignment=version >= _JOIN_MAY_SKIP_ASSIGNMENT,
        )
        later, context = Later(), context.without_frame()
        self._coordinator.join(
            join, lambda result: later.complete(messages.answer(context, _joined(result, context)))
        )
        return later

    @serves(
        ApiKey.sync_group,
        0,
        5,
        "3: static members; 5: names the protocol",
    )
    def sync_group(self, context: Request) -> Reply:
        """Answered when the leader has brought the assignment."""
        request = messages.body_of(context)
        protocol_type = getattr(request, "protocol_type", None)
        protocol_name = getattr(request, "protocol_name", None)
        if context.api_version >= _SYNC_NAMES_THE_PROTOCOL and (
            protocol_type is None or protocol_name is None
        ):
            raise InconsistentGroupProtocol("SyncGroup has to name the protocol since version 5")
        sync = SyncRequest(
            group_id=request.group_id,
            generation_id=request.generation_id,
            member_id=request.member_id,
            group_instance_id=getattr(request, "group_instance_id", None),
            protocol_type=protocol_type,
            protocol_name=protocol_name,
            assignments={item.member_id: item.assignment for item in request.assignments},
        )
        later, context = Later(), context.without_frame()
        self._coordinator.sync(
            sync, lambda result: later.complete(messages.answer(context, _synced(result, context)))
        )
        return later

    @answers(ApiKey.heartbeat, 0, 4, "3: static members")
    def heartbeat(self, request: Any, context: Request) -> messages.Entity:
        """Error 0: carry on."""
        self._coordinator.heartbeat(
            request.group_id,
            request.member_id,
            getattr(request, "group_instance_id", None),
            request.generation_id,
        )
        types = messages.response_types(context.api_key, context.api_version)
        return messages.make(types.HeartbeatResponse, error_code=messages.error_code(0))

    @answers(ApiKey.leave_group, 0, 5, "3: several members; 5: reasons")
    def leave_group(self, request: Any, context: Request) -> messages.Entity:
        """One member, or since version 3 several, each with a result of its own."""
        types = messages.response_types(context.api_key, context.api_version)
        done = messages.error_code(0)
        if context.api_version < _LEAVE_TAKES_MANY:
            self._coordinator.leave(request.group_id, request.member_id, None)
            return messages.make(types.LeaveGroupResponse, error_code=done)
        members = tuple(self._leave(types, request.group_id, who) for who in request.members)
        return messages.make(types.LeaveGroupResponse, error_code=done, members=members)

    def _leave(self, types: Any, group_id: str, who: Any) -> messages.Entity:
        code = 0
        try:
            # Only an administrator leaves for members of the new protocol.
            if not self._consumers.remove(group_id, who.member_id, who.group_instance_id):
                self._coordinator.leave(group_id, who.member_id, who.group_instance_id)
        except KafkaError as error:
            code = error.code
        return messages.make(
            types.MemberResponse,
            member_id=who.member_id,
            group_instance_id=who.group_instance_id,
            error_code=messages.error_code(code),
        )


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


def _joined(result: JoinResult, context: Request) -> messages.Entity:
    types = messages.response_types(context.api_key, context.api_version)
    protocol_name = result.protocol_name
    if protocol_name is None and context.api_version < _JOIN_MAY_ANSWER_WITHOUT_PROTOCOL:
        protocol_name = ""
    return messages.make(
        types.JoinGroupResponse,
        error_code=messages.error_code(result.error_code),
        generation_id=result.generation_id,
        protocol_type=result.protocol_type,
        protocol_name=protocol_name,
        leader=result.leader_id,
        skip_assignment=result.skip_assignment,
        member_id=result.member_id,
        members=tuple(
            messages.make(
                types.JoinGroupResponseMember,
                member_id=member_id,
                group_instance_id=instance_id,
                metadata=subscription,
            )
            for member_id, instance_id, subscription in result.members
        ),
    )


def _synced(result: SyncResult, context: Request) -> messages.Entity:
    types = messages.response_types(context.api_key, context.api_version)
    return messages.make(
        types.SyncGroupResponse,
        error_code=messages.error_code(result.error_code),
        protocol_type=result.protocol_type,
        protocol_name=result.protocol_name,
        assignment=result.assignment,
    )
