"""What this broker serves, for tests that go through all of it, and its view of a request."""

from __future__ import annotations

import zerocopy_lab.broker.broker  # noqa: F401 - loads every handler
from zerocopy_lab.broker.serving import declared_versions
from zerocopy_lab.protocol.framing import Client, Request, read_request
from zerocopy_lab.protocol.versions import ApiKey

VERSIONS = {versions.api_key: versions for versions in declared_versions().values()}


def every_version(*keys: ApiKey) -> list[tuple[ApiKey, int]]:
    """Each request in each version that is advertised, for parametrize."""
    return [(k, v) for k in keys for v in range(VERSIONS[k].lowest, VERSIONS[k].highest + 1)]


def request_in(frame: bytes | bytearray | memoryview) -> Request:
    """The request in a frame (without its length), as dispatch reads it."""
    return read_request(memoryview(frame), Client(1, "127.0.0.1", 4711), declared_versions())
