"""From a frame to an answer: what is asked, who answers, and which Kafka code an error has.

    frame --> header --> Produce, Fetch        handlers of their own: views in, pieces out
                     --> everything else       kio entity in, kio entity out

Only here does an exception become a number that a client understands. What a client cannot be told
ends its connection.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from zerocopy_lab.broker.counters import RequestCounters
from zerocopy_lab.broker.deferred import Deferred
from zerocopy_lab.broker.faults import Fault, Faults, drop, failed
from zerocopy_lab.broker.own_thread import LARGE_BYTES, Aside
from zerocopy_lab.errors import CloseConnection, KafkaError, UnsupportedVersion
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.exchange import Answer, Client, Reply
from zerocopy_lab.protocol.requests import (
    RequestHeader,
    UnsupportedApiVersions,
    read_request_header,
)
from zerocopy_lab.protocol.versions import VERSIONS, ApiKey, VersionRange

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What a handler may know besides the request itself."""

    api_key: ApiKey
    api_version: int
    correlation_id: int
    client_id: str | None
    client: Client


#: Answers one decoded request with a response of the same version, now or later.
Handler = Callable[[Any, RequestContext], "messages.Entity | Deferred[messages.Entity]"]


class FrameHandler(Protocol):
    """Answers a request from its frame, for the two whose payload must not be copied."""

    def __call__(self, frame: memoryview, header: RequestHeader, client: Client) -> Reply:
        """The answer, now or later, or None."""
        ...

    def refuse(self, frame: memoryview, header: RequestHeader, error: KafkaError) -> Reply:
        """The answer that says `error` about everything; nothing is done."""
        ...


#: What a client may say before it is authenticated.
_BEFORE_AUTHENTICATION = {ApiKey.api_versions, ApiKey.sasl_handshake, ApiKey.sasl_authenticate}

#: Decoding makes objects of tens of bytes out of items of two: a hundred megabytes of them, which a
#: Produce may have, would become gigabytes. And whatever goes through all objects at once, be it to
#: free them, stops everybody meanwhile. No real request but Produce comes near this.
MOST_BYTES_DECODED = 256 << 10


class Dispatch:
    """The table of handlers. `frame_handlers` win over `handlers`."""

    def __init__(
        self,
        families: Iterable[Mapping[ApiKey, Handler]],
        frame_handlers: Mapping[ApiKey, FrameHandler],
        faults: Faults,
        bare_sasl: Callable[[memoryview, Client], Reply],
        aside: Aside,
    ) -> None:
        self._handlers = {key: handler for family in families for key, handler in family.items()}
        self._handlers[ApiKey.api_versions] = self._api_versions
        self._frame_handlers = frame_handlers
        self._faults = faults
        self._bare_sasl = bare_sasl
        self._aside = aside
        self.counters = RequestCounters()
        served = self._handlers.keys() | frame_handlers.keys()
        self.versions: dict[ApiKey, VersionRange] = {
            key: versions for key, versions in VERSIONS.items() if key in served
        }

    def __call__(self, frame: memoryview, client: Client) -> Reply:
        """Answer one frame (without its length). Raises CloseConnection when there is no answer."""
        if client.exchange_is_bare:
            return self._bare_sasl(frame, client)
        try:
            header = read_request_header(frame)
        except UnsupportedApiVersions as newer:
            return [self._api_versions_for_a_newer_client(newer.header)]
        if not client.authenticated and header.api_key not in _BEFORE_AUTHENTICATION:
            raise CloseConnection(f"{header.api_key.name} from a client that is not authenticated")
        self.counters.count_request(header.api_key)
        if self._faults.in_force:
            fault = self._faults.take(header)
            if fault is not None:
                return self._answer_with_fault(fault, frame, header, client)
        return self._answer(frame, header, client)

    def _answer_with_fault(
        self, fault: Fault, frame: memoryview, header: RequestHeader, client: Client
    ) -> Reply:
        log.info("fault on demand for %s of %s: %s", header.api_key.name, client, fault)
        if fault.drop:
            reply = drop(fault, lambda: self._answer(frame, header, client))
        elif fault.error is None:
            reply = self._answer(frame, header, client)
        elif header.api_key in self._frame_handlers:
            refuse = self._frame_handlers[header.api_key].refuse
            reply = refuse(frame, header, fault.error("a fault on demand"))
        else:
            reply = self._answer_entity(frame, header, client, fault)
        return self._faults.delayed(reply, fault.delay_s) if fault.delay_s else reply

    def _answer(self, frame: memoryview, header: RequestHeader, client: Client) -> Reply:
        frame_handler = self._frame_handlers.get(header.api_key)
        if frame_handler is not None:
            return frame_handler(frame, header, client)
        if len(frame) >= LARGE_BYTES:
            return self._answer_aside(frame, header, client)
        return self._answer_entity(frame, header, client)

    def _answer_aside(self, frame: memoryview, header: RequestHeader, client: Client) -> Reply:
        key = header.api_key
        if len(frame) > MOST_BYTES_DECODED:
            raise CloseConnection(
                f"{key.name} of {len(frame)} bytes; beyond {MOST_BYTES_DECODED} only Produce may go"
            )
        later = self._aside.answer_later(
            frame, lambda copy: self._answer_entity(copy, header, client)
        )
        if later is None:
            raise CloseConnection("too many costly requests wait already")
        return later

    def _answer_entity(
        self,
        frame: memoryview,
        header: RequestHeader,
        client: Client,
        fault: Fault | None = None,
    ) -> Reply:
        key, version = header.api_key, header.api_version
        handler = self._handlers.get(key)
        if handler is None:
            raise CloseConnection(f"{key.name} is not served")
        request = messages.decode(key, version, frame, header.body_at)
        context = RequestContext(key, version, header.correlation_id, header.client_id, client)
        try:
            if fault and fault.error and not fault.carried_out and _has_one_error(key, version):
                raise fault.error("a fault on demand")
            response = handler(request, context)
            if fault and fault.error and not isinstance(response, Deferred):
                response = failed(response, fault.error)
        except KafkaError as error:
            self.counters.count_error(key, type(error).__name__)
            log.info("%s of %s failed: %s: %s", key.name, client, type(error).__name__, error)
            response = _failure(key, version, error)
        if not isinstance(response, Deferred):
            return [messages.encode_response(key, version, header.correlation_id, response)]
        later: Deferred[Answer] = Deferred(on_abandon=response.abandon)
        response.on_complete(
            lambda entity: later.complete(
                [messages.encode_response(key, version, header.correlation_id, entity)]
            )
        )
        return later

    def _api_versions(self, _request: Any, context: RequestContext) -> messages.Entity:
        return self._versions_entity(context.api_version, error_code=0)

    def _api_versions_for_a_newer_client(self, header: RequestHeader) -> bytes:
        """Version 0 is what every client can read; it asks again with a version of the list."""
        entity = self._versions_entity(0, error_code=UnsupportedVersion.code)
        return messages.encode_response(ApiKey.api_versions, 0, header.correlation_id, entity)

    def _versions_entity(self, version: int, error_code: int) -> messages.Entity:
        types = messages.response_types(ApiKey.api_versions, version)
        return messages.make(
            types.ApiVersionsResponse,
            error_code=messages.error_code(error_code),
            api_keys=tuple(
                types.ApiVersion(api_key=key, min_version=range_.lowest, max_version=range_.highest)
                for key, range_ in self.versions.items()
            ),
        )


def _failure(key: ApiKey, version: int, error: KafkaError) -> messages.Entity:
    """The response that says nothing but `error`, for requests whose response can."""
    if not _has_one_error(key, version):
        raise CloseConnection(f"{key.name} failed: {type(error).__name__}: {error}") from error
    return messages.make_failure(messages.response_type(key, version), error)


def _has_one_error(key: ApiKey, version: int) -> bool:
    """Whether the response has an error code for the whole request."""
    return "error_code" in messages.response_type(key, version).__dataclass_fields__
