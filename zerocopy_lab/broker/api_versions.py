"""ApiVersions: what is served, as the handlers declare it; and what is said about the rest.

A client asks this first, and then uses what both sides know. One that does not ask, or wants more
than there is, hears it in the words of its own request wherever there are any: the response of that
request, in the version that it asked for, with UNSUPPORTED_VERSION. Kafka hangs up on it, and all
that it can tell its user is "unexpected EOF". Where the response has an error for each item only,
or nobody knows the version, there is no such answer, and the connection ends here, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zerocopy_lab.broker.serving import answers, declared
from zerocopy_lab.errors import UnsupportedVersion
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Client, Now, Reply, Request
from zerocopy_lab.protocol.versions import API_KEYS, ApiKey, Unserved


class ApiVersionsHandler:
    """Speaks for the `owners` of all other handlers, and for itself."""

    def __init__(self, owners: Iterable[object]) -> None:
        self._versions = [served.versions for served in declared([self, *owners])]

    @answers(ApiKey.api_versions, 0, 4, "3: the client's name, and the header's old form even so")
    def api_versions(self, _request: Any, context: Request) -> messages.Entity:
        """What the handlers declare."""
        return self._entity(context.api_version, error_code=0)

    def refuse(self, unserved: Unserved, client: Client) -> Reply:
        """The clearest answer there is. Raises `unserved`, which ends the connection, when there is
        none.
        """
        key, version = API_KEYS.get(unserved.key), unserved.version
        if key is ApiKey.api_versions:
            # In version 0, which every client can read; it asks again with one of the list.
            entity, version = self._entity(0, UnsupportedVersion.code), 0
        elif key is None or not client.authenticated:
            raise unserved
        else:
            entity = messages.failure_if_any(key, version, UnsupportedVersion(str(unserved)))
            if entity is None:
                raise unserved
        return Now((messages.encode_response(key, version, unserved.correlation_id, entity),))

    def _entity(self, version: int, error_code: int) -> messages.Entity:
        types = messages.response_types(ApiKey.api_versions, version)
        return messages.make(
            types.ApiVersionsResponse,
            error_code=messages.error_code(error_code),
            api_keys=tuple(
                types.ApiVersion(api_key=key, min_version=lowest, max_version=highest)
                for key, lowest, highest in self._versions
            ),
        )
