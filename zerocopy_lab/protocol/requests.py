"""The header in front of every request.

    | at | field                                                     |
    |----|-----------------------------------------------------------|
    | 0  | api_key i16                                               |
    | 2  | api_version i16                                           |
    | 4  | correlation_id i32, sent back in front of the response    |
    | 8  | client_id: length i16 (-1 = null), UTF-8                  |
    | .. | tagged fields: a count (varint), nothing in practice      |

The tagged fields are there from the version on that made the request flexible (KIP-482). The client
id keeps its old form even then: Kafka's `RequestHeader.json` says why.
"""

from __future__ import annotations

from struct import Struct, error
from typing import NamedTuple

from zerocopy_lab.errors import FrameError, UnsupportedVersion
from zerocopy_lab.protocol.versions import API_KEYS, VERSIONS, ApiKey

_FIXED = Struct(">hhih")


class RequestHeader(NamedTuple):
    """What a request says of itself; `body_at` is where in the frame its body begins."""

    api_key: ApiKey
    api_version: int
    correlation_id: int
    client_id: str | None
    body_at: int


class UnsupportedApiVersions(UnsupportedVersion):
    """A client newer than us asked ApiVersions in a version we cannot parse; it is told what we
    have, in version 0.
    """

    def __init__(self, header: RequestHeader) -> None:
        super().__init__(f"ApiVersions version {header.api_version}")
        self.header = header


def read_request_header(frame: memoryview) -> RequestHeader:
    """Read the header at the start of `frame` (without the length in front).

    Raises FrameError for an unknown request, an unsupported version or a cut header: like Kafka, we
    cannot answer what we cannot parse, so the connection has to end. ApiVersions alone has an
    answer: UnsupportedApiVersions.
    """
    try:
        key, version, correlation_id, client_id_length = _FIXED.unpack_from(frame)
    except error:
        raise FrameError(f"a request of {len(frame)} bytes, too short for a header") from None
    api_key = API_KEYS.get(key)
    if api_key is None:
        raise FrameError(f"request {key} (version {version}) is unknown to this broker")
    versions = VERSIONS[api_key]
    if not versions.lowest <= version <= versions.highest:
        header = RequestHeader(api_key, version, correlation_id, None, 0)
        if api_key is ApiKey.api_versions:
            raise UnsupportedApiVersions(header)
        raise FrameError(
            f"{api_key.name} version {version} is not among the served "
            f"{versions.lowest}..{versions.highest}"
        )
    body_at = _FIXED.size
    client_id = None
    if client_id_length >= 0:
        body_at += client_id_length
        client_id = _client_id(frame[_FIXED.size : body_at], client_id_length)
    if version >= versions.flexible_from:
        body_at = skip_tagged_fields(frame, body_at)
    return RequestHeader(api_key, version, correlation_id, client_id, body_at)


def request_header(
    api_key: ApiKey, version: int, correlation_id: int, client_id: str | None
) -> bytes:
    """The same header, written: for the small client of the labs and for tests."""
    raw_id = b"" if client_id is None else client_id.encode()
    id_length = -1 if client_id is None else len(raw_id)
    tags = b"\x00" if version >= VERSIONS[api_key].flexible_from else b""
    return _FIXED.pack(api_key, version, correlation_id, id_length) + raw_id + tags


def _client_id(raw: memoryview, length: int) -> str:
    if len(raw) != length:
        raise FrameError(f"a client id of {length} bytes, but the request ends after {len(raw)}")
    try:
        return str(raw, "utf-8")
    except UnicodeDecodeError:
        raise FrameError("a client id that is not UTF-8") from None


def read_unsigned_varint(view: memoryview, at: int) -> tuple[int, int]:
    """The unsigned varint at `at` and the position behind it. Raises FrameError past 5 bytes or the
    end.
    """
    value = 0
    for shift in range(0, 35, 7):
        if at >= len(view):
            break
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise FrameError(f"a varint that does not end at byte {at} of {len(view)}")


def skip_tagged_fields(view: memoryview, at: int) -> int:
    """The position behind the tagged fields (KIP-482) that begin at `at`; unknown tags are legal
    and ignored.
    """
    count, at = read_unsigned_varint(view, at)
    if count > len(view) - at:
        raise FrameError(f"{count} tagged fields in {len(view) - at} bytes")
    for _ in range(count):
        _, at = read_unsigned_varint(view, at)
        length, at = read_unsigned_varint(view, at)
        at += length
    if at > len(view):
        raise FrameError(f"tagged fields that end at byte {at} of {len(view)}")
    return at
