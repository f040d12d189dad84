"""What a handler says of itself, beside its code: which request it answers, in which versions.

    @answers(ApiKey.heartbeat, 0, 4, "3: the member's static id")
    def heartbeat(self, request, context):      kio's request in, kio's response out

    @serves(ApiKey.fetch, 4, 17, "...")
    def fetch(self, request):                   a `Request` in, a `Reply` out

These lines are the only place where versions are written down: ApiVersions says what they say.
Version notes name what changed for *this* broker; a version that is not among them brought nothing
that it has to do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Reply, Request
from zerocopy_lab.protocol.versions import ApiKey, VersionRange

#: From this length on a request is answered in a thread of its own. Those of real clients are
#: mostly below a kibibyte.
LARGE_BYTES = 16 << 10

#: For what costs by the topics, groups and files that the broker has, however short the request is.
ASIDE = 0

#: Decoding makes objects of tens of bytes out of items of two: a hundred megabytes of them would
#: become gigabytes. And whatever goes through all objects at once, be it to free them, stops
#: everybody meanwhile. No real request but Produce comes near this.
MOST_BYTES_DECODED = 256 << 10

#: For the request that has views of its frame, and no more objects than batches.
ANY_LENGTH = sys.maxsize

Handler = Callable[[Request], Reply]
_Method = TypeVar("_Method", bound=Callable[..., Reply])


class Served(NamedTuple):
    """One request that is served. Lengths are those of frames."""

    versions: VersionRange
    answer: Handler
    notes: str
    large_bytes: int = LARGE_BYTES
    most_bytes: int = MOST_BYTES_DECODED


_DECLARED: dict[Callable[..., Reply], Served] = {}


def serves(
    api_key: ApiKey,
    lowest: int,
    highest: int,
    notes: str,
    *,
    large_bytes: int = LARGE_BYTES,
    most_bytes: int = MOST_BYTES_DECODED,
) -> Callable[[_Method], _Method]:
    """Mark a method that answers a `Request` with a `Reply`, in versions `lowest` to `highest`."""

    def mark(method: _Method) -> _Method:
        assert api_key not in declared_versions(), f"{api_key.name} is answered in two places"
        versions = VersionRange(api_key, lowest, highest)
        _DECLARED[method] = Served(versions, method, notes, large_bytes, most_bytes)
        return method

    return mark


def answers(
    api_key: ApiKey, lowest: int, highest: int, notes: str, *, large_bytes: int = LARGE_BYTES
) -> Callable[[Callable[[Any, Any, Request], messages.Entity]], Callable[[Any, Request], Reply]]:
    """Mark a method that makes kio's response out of kio's request, both of the same version."""

    def mark(
        method: Callable[[Any, Any, Request], messages.Entity],
    ) -> Callable[[Any, Request], Reply]:
        @serves(api_key, lowest, highest, notes, large_bytes=large_bytes)
        @wraps(method)
        def answer(self: Any, request: Request) -> Reply:
            return messages.answer(request, method(self, messages.body_of(request), request))

        return answer

    return mark


def declared(owners: Iterable[Any]) -> list[Served]:
    """What these objects have methods for; of a class, with methods that want an object."""
    found = []
    for owner in owners:
        of_class = owner if isinstance(owner, type) else type(owner)
        for name, method in vars(of_class).items():
            if callable(method) and method in _DECLARED:
                found.append(_DECLARED[method]._replace(answer=getattr(owner, name)))
    return found


def declared_versions() -> dict[int, VersionRange]:
    """What all handlers say that are loaded."""
    return {one.versions.api_key: one.versions for one in _DECLARED.values()}
