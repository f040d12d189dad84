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
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from threading import Lock
from typing import Any, cast

from zerocopy_lab import errors
from zerocopy_lab.broker.deferred import Deferred
from zerocopy_lab.broker.timers import Timers
from zerocopy_lab.errors import CloseConnection, KafkaError
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.exchange import Answer, Later, Reply
from zerocopy_lab.protocol.requests import RequestHeader
from zerocopy_lab.protocol.versions import ApiKey


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

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._lock = Lock()
        self.in_force: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """From the next request on."""
        with self._lock:
            self.in_force = [*self.in_force, fault]

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self.in_force = []

    def take(self, header: RequestHeader) -> Fault | None:
        """The fault that happens to this request, if any; counts it."""
        with self._lock:
            for fault in self.in_force:
                if fault.api_key == header.api_key and fault.client_id in (None, header.client_id):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times <= 0:
                            self.in_force = [other for other in self.in_force if other is not fault]
                    return fault
        return None

    def delayed(self, reply: Reply, delay_s: float) -> Reply:
        """The same answer, later. The request itself has been carried out in time."""
        later: Deferred[Answer] = Deferred()

        def send_later(answer: Answer) -> None:
            self._timers.call_later(delay_s, lambda: _complete(later, answer))

        if reply is None or isinstance(reply, (list, tuple)):
            send_later(reply)
        else:
            cast(Later, reply).on_complete(send_later)
        return later


def _complete(later: Deferred[Answer], answer: Answer) -> None:
    later.complete(answer)


def drop(fault: Fault, carry_out: Callable[[], Reply]) -> Reply:
    """End the connection, before or after the request was carried out."""
    if fault.carried_out:
        carry_out()
    raise CloseConnection(f"a fault on demand: {fault.api_key.name} is dropped")


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


def failed(entity: messages.Entity, error: type[KafkaError]) -> messages.Entity:
    """A response as if everything in it had failed."""
    return with_error(entity, messages.error_code(error.code))


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
