"""Faults on demand: what a client does when a broker is slow, silent or refuses can be tried
instead of waited for.

    broker.faults.add(Fault(ApiKey.produce, error=NotLeaderOrFollower, times=3))
    broker.faults.add(Fault(ApiKey.fetch, delay_s=0.5))
    broker.faults.add(Fault(ApiKey.produce, drop=True, carried_out=True))     the answer is lost,
    the records are not

and the same in words, for the command line: `produce:error=NotLeaderOrFollower:times=3`,
`fetch:delay=0.5`, `produce:drop:carried_out`.

An error without `carried_out` leaves the request undone where the protocol has an answer for that:
whenever an error is about the whole request, and for Produce. Where every item has its own
(Metadata, OffsetCommit, CreateTopics, ...), the request is carried out and its answer says that
everything failed.

The handlers know nothing of this: a fault stands around the handler of its request, from the moment
that it is added.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from threading import Lock
from typing import Any

from zerocopy_lab import errors
from zerocopy_lab.broker.dispatch import Dispatch
from zerocopy_lab.broker.serving import Handler
from zerocopy_lab.broker.timers import Timers
from zerocopy_lab.errors import KafkaError
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import LENGTH, Answer, HangUp, Now, Piece, Reply, Request
from zerocopy_lab.protocol.later import Later
from zerocopy_lab.protocol.versions import ApiKey

_LOGGER = logging.getLogger(__name__)


@dataclass
class Fault:
    """What happens to requests of one kind. `times`: how often (None: until `clear`); `client_id`:
    to whom (None: to all).
    """

    api_key: ApiKey
    delay_s: float = 0.0
    drop: bool = False
    error: type[KafkaError] | None = None
    carried_out: bool = False
    times: int | None = None
    client_id: str | None = None


class Faults:
    """The faults in force, in the order of adding; the first that fits a request happens to it.
    Thread-safe.
    """

    def __init__(self, timers: Timers, dispatch: Dispatch) -> None:
        self._timers = timers
        self._dispatch = dispatch
        self._lock = Lock()
        self._wrapped: set[ApiKey] = set()
        self._in_force: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """From the next request on."""
        with self._lock:
            self._in_force.append(fault)
            if fault.api_key not in self._wrapped:
                self._wrapped.add(fault.api_key)
                self._dispatch.wrap(fault.api_key, lambda handler: partial(self._around, handler))

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self._in_force.clear()

    def _around(self, handler: Handler, request: Request) -> Reply:
        fault = self._take(request)
        if fault is None:
            return handler(request)
        _LOGGER.info(
            "fault on demand for %s of %s: %s", request.api_key.name, request.client, fault
        )
        reply = _outcome(fault, handler, request)
        return self._delayed(reply, fault.delay_s) if fault.delay_s else reply

    def _take(self, request: Request) -> Fault | None:
        """The fault that happens to this request, if any; counts it."""
        with self._lock:
            for fault in self._in_force:
                fits = fault.client_id in (None, request.client_id)
                if fits and fault.api_key == request.api_key:
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times <= 0:
                            self._in_force.remove(fault)
                    return fault
        return None

    def _delayed(self, reply: Reply, delay_s: float) -> Later:
        """The same answer, later. The request itself has been carried out in time."""
        later = Later()

        def send_later(answer: Answer) -> None:
            self._timers.call_later(delay_s, lambda: _complete(later, answer))

        match reply:
            case Later():
                reply.on_complete(send_later)
            case answer:
                send_later(answer)
        return later


def _outcome(fault: Fault, handler: Handler, request: Request) -> Reply:
    if fault.drop:
        if fault.carried_out:
            handler(request)
        return HangUp(f"a fault on demand: {fault.api_key.name} is dropped")
    if fault.error is None:
        return handler(request)
    error = fault.error("a fault on demand")
    if request.api_key is ApiKey.fetch:
        return _refused_fetch(request, error)
    if not fault.carried_out and request.api_key is ApiKey.produce:
        return _refused_produce(request, error)
    if not fault.carried_out and messages.has_one_error(request.api_key, request.api_version):
        return messages.failure(request, error)
    match handler(request):
        case Later() as later:
            failed = Later(on_abandon=later.abandon)
            later.on_complete(lambda answer: failed.complete(_failed(request, answer, error)))
            return failed
        case answer:
            return _failed(request, answer, error)


def _failed(request: Request, answer: Answer, error: KafkaError) -> Answer:
    """The answer as if everything in it had failed."""
    match answer:
        case Now(pieces):
            whole = memoryview(b"".join(map(_bytes_of, pieces)))[LENGTH.size :]
            _, entity = messages.decode_response(request.api_key, request.api_version, whole)
            return messages.answer(request, with_error(entity, messages.error_code(error.code)))
        case _:
            return answer


def _complete(later: Later, answer: Answer) -> None:
    later.complete(answer)


def _bytes_of(piece: Piece) -> bytes:
    assert isinstance(piece, bytes), "only a Fetch answers with files"
    return piece


def with_error(entity: Any, code: Any) -> Any:
    """The same response with every error code in it replaced by `code`."""
    changes: dict[str, Any] = {}
    for field in fields(entity):
        value = getattr(entity, field.name)
        if field.name == "error_code":
            changes[field.name] = code
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            changes[field.name] = tuple(with_error(item, code) for item in value)
    return replace(entity, **changes)


def _refused_fetch(request: Request, error: KafkaError) -> Now:
    """Nothing is read, and every partition hears the error."""
    types = messages.response_types(request.api_key, request.api_version)
    told = messages.make_failure(types.PartitionData, error)
    topics = tuple(
        _like(
            types.FetchableTopicResponse,
            topic,
            partitions=tuple(
                replace(told, partition_index=part.partition) for part in topic.partitions
            ),
        )
        for topic in messages.body_of(request).topics
    )
    values = {"error_code": messages.error_code(0), "session_id": 0, "responses": topics}
    return messages.answer(request, messages.make(types.FetchResponse, **values))


def _refused_produce(request: Request, error: KafkaError) -> Answer:
    """Nothing is appended, and every partition hears the error."""
    wanted = messages.body_of(request)
    if wanted.acks == 0:
        return HangUp(f"acks=0, and {error}")
    types = messages.response_types(request.api_key, request.api_version)
    told = messages.make_failure(types.PartitionProduceResponse, error)
    topics = tuple(
        _like(
            types.TopicProduceResponse,
            topic,
            partition_responses=tuple(
                replace(told, index=part.index) for part in topic.partition_data
            ),
        )
        for topic in wanted.topic_data
    )
    return messages.answer(request, messages.make(types.ProduceResponse, responses=topics))


def _like(entity_type: Any, topic: Any, **values: Any) -> Any:
    """An answer about the topic that a request has named, by name or id."""
    named = {name: getattr(topic, name, None) for name in ("topic", "name", "topic_id")}
    return messages.make(entity_type, **named, **values)


def parse_fault(text: str) -> Fault:
    """A fault in words, as above. Raises ValueError."""
    api_name, *parts = text.split(":")
    if api_name not in ApiKey.__members__:
        raise ValueError(f"fault {text!r}: no request is called {api_name!r}")
    fault = Fault(ApiKey[api_name])
    for part in parts:
        word, _, value = part.partition("=")
        if word in ("drop", "carried_out") and not value:
            setattr(fault, word, True)
        elif word == "delay":
            fault.delay_s = float(value)
        elif word == "times":
            fault.times = int(value)
        elif word == "client":
            fault.client_id = value
        elif word == "error":
            fault.error = _error_named(value)
        else:
            raise ValueError(
                f"fault {text!r}: {part!r} means nothing; delay=S, drop, error=NAME, ..."
            )
    return fault


def _error_named(name: str) -> type[KafkaError]:
    found = getattr(errors, name, None)
    if not (isinstance(found, type) and issubclass(found, KafkaError)):
        raise ValueError(f"no Kafka error is called {name!r} (NotLeaderOrFollower is one)")
    return found
