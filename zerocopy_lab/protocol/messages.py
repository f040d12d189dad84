"""Every message but those of Produce and Fetch, through kio.

kio knows each message in each version as a frozen dataclass (generated from Kafka's own
definitions), reads it in Rust and writes it in Python. A message is a few microseconds that way;
what makes that cheap enough is batching, which spreads them over thousands of records.

The modules of kio are loaded when a message is first needed: a broker starts in a fraction of a
second that way.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import MISSING
from datetime import UTC, datetime, timedelta
from functools import cache
from types import ModuleType
from typing import Any

from zerocopy_lab.errors import CloseConnection, FrameError, KafkaError
from zerocopy_lab.protocol.framing import HEADER, LENGTH, Now, Request
from zerocopy_lab.protocol.structure import check_structure
from zerocopy_lab.protocol.versions import ApiKey

#: A request or response of kio. Their classes differ from version to version, so no static type
#: covers a family.
Entity = Any


@cache
def _kio() -> ModuleType:
    """Kio's serializers. kio would import the test library hypothesis where that is installed, 0.3
    s for nothing.
    """
    hidden = "hypothesis" not in sys.modules
    if hidden:
        sys.modules["hypothesis"] = None  # type: ignore[assignment]
    try:
        import kio.serial
    finally:
        if hidden:
            del sys.modules["hypothesis"]
    return kio.serial


@cache
def types_of(api_key: ApiKey, version: int, direction: str) -> ModuleType:
    """The module `kio.schema.<api>.v<version>.<direction>`, direction being "request" or
    "response".
    """
    _kio()
    __import__(name := f"kio.schema.{api_key.name}.v{version}.{direction}")
    return sys.modules[name]


def response_types(api_key: ApiKey, version: int) -> ModuleType:
    """The classes of one response and all that is nested in it."""
    return types_of(api_key, version, "response")


@cache
def request_type(api_key: ApiKey, version: int) -> type[Any]:
    """The class of one request, e.g. `MetadataRequest` of version 9."""
    return _outermost(types_of(api_key, version, "request"), api_key, "Request")


@cache
def response_type(api_key: ApiKey, version: int) -> type[Any]:
    """The class of one response, e.g. `MetadataResponse` of version 9."""
    return _outermost(response_types(api_key, version), api_key, "Response")


def _outermost(module: ModuleType, api_key: ApiKey, suffix: str) -> type[Any]:
    name = "".join(part.capitalize() for part in api_key.name.split("_")) + suffix
    found: type[Any] = getattr(module, name)
    return found


@cache
def _reader(api_key: ApiKey, version: int) -> Callable[[memoryview, int], tuple[Entity, int]]:
    reader: Callable[[memoryview, int], tuple[Entity, int]]
    reader = _kio().entity_reader(request_type(api_key, version))
    return reader


@cache
def _writer(entity_type: Any) -> Callable[[io.BytesIO, Entity], None]:
    writer: Callable[[io.BytesIO, Entity], None] = _kio().entity_writer(entity_type)
    return writer


def decode(api_key: ApiKey, version: int, frame: memoryview, at: int = 0) -> Entity:
    """The request whose body begins at byte `at` of `frame`. Raises FrameError when the bytes are
    no such request.
    """
    read = _reader(api_key, version)
    check_structure(request_type(api_key, version), frame, at)
    try:
        entity, _ = read(frame.toreadonly(), at)
    except (ValueError, OverflowError, KeyError, _kio_errors()) as cause:
        raise FrameError(f"no {api_key.name} request of version {version}: {cause}") from cause
    return entity


def body_of(request: Request) -> Entity:
    """What a request says besides its header. Raises FrameError."""
    return decode(request.api_key, request.api_version, request.frame, request.body_at)


def answer(request: Request, entity: Entity) -> Now:
    """The response to `request`, of the same version."""
    frame = encode_response(request.api_key, request.api_version, request.correlation_id, entity)
    return Now((frame,))


@cache
def _kio_errors() -> type[Exception]:
    _kio()
    from kio.serial.errors import SerialError

    return SerialError


def encode_response(api_key: ApiKey, version: int, correlation_id: int, entity: Entity) -> bytes:
    """The frame of a response: length, header, body."""
    header = LENGTH.pack(correlation_id)
    return _frame(header + b"\x00" if _has_response_tags(api_key, version) else header, entity)


def _has_response_tags(api_key: ApiKey, version: int) -> bool:
    # ApiVersions keeps the old header in every version: a client must be able to read this answer
    # before versions are agreed (KIP-511).
    return version >= api_key.flexible_from and api_key is not ApiKey.api_versions


def _frame(header: bytes, entity: Entity) -> bytes:
    sink = io.BytesIO(LENGTH.pack(0) + header)
    sink.seek(0, io.SEEK_END)
    entity_type: Any = type(entity)
    _writer(entity_type)(sink, entity)
    length = sink.tell() - LENGTH.size
    sink.seek(0)
    sink.write(LENGTH.pack(length))
    return sink.getvalue()


def encode_request(
    version: int, correlation_id: int, client_id: str | None, entity: Entity
) -> bytes:
    """The frame of a request, for the small client of the labs and for tests."""
    api_key = ApiKey(entity.__api_key__)
    return _frame(request_header(api_key, version, correlation_id, client_id), entity)


def request_header(
    api_key: ApiKey, version: int, correlation_id: int, client_id: str | None
) -> bytes:
    """The same header, written: for the small client of the labs and for tests."""
    raw_id = b"" if client_id is None else client_id.encode()
    id_length = -1 if client_id is None else len(raw_id)
    tags = b"\x00" if version >= api_key.flexible_from else b""
    return HEADER.pack(api_key, version, correlation_id, id_length) + raw_id + tags


def decode_response(api_key: ApiKey, version: int, frame: memoryview) -> tuple[int, Entity]:
    """Correlation id and entity of a response (without the frame's length)."""
    (correlation_id,) = LENGTH.unpack_from(frame)
    read = _kio().entity_reader(response_type(api_key, version))
    entity, _ = read(frame.toreadonly(), 5 if _has_response_tags(api_key, version) else 4)
    return correlation_id, entity


def make(entity_type: type[Any], **values: object) -> Entity:
    """An entity of `entity_type` from those `values` that its version has a field for.

    Versions differ by fields that came and went; a handler names all it knows and this drops what
    the client's version cannot hold. `throttle_time` is zero unless given: this broker throttles
    nobody.
    """
    known = entity_type.__dataclass_fields__
    if "throttle_time" in known:
        values.setdefault("throttle_time", timedelta(0))
    return entity_type(**{name: value for name, value in values.items() if name in known})


def error_code(code: int) -> Any:
    """Kafka's error `code` as kio's enumeration, for the error_code fields of responses."""
    _kio()
    from kio.schema.errors import ErrorCode

    return ErrorCode(code)


def failure(request: Request, error: KafkaError) -> Now:
    """The response that says nothing but `error`. Raises CloseConnection when it has no place for
    that.
    """
    entity = failure_if_any(request.api_key, request.api_version, error)
    if entity is None:
        raise CloseConnection(
            f"{request.api_key.name} failed: {type(error).__name__}: {error}"
        ) from error
    return answer(request, entity)


def failure_if_any(api_key: ApiKey, version: int, error: KafkaError) -> Entity | None:
    """The response that says `error` about a whole request; None where there is no such response,
    or no such version.
    """
    if not has_one_error(api_key, version):
        return None
    return make_failure(response_type(api_key, version), error)


def has_one_error(api_key: ApiKey, version: int) -> bool:
    """Whether the response has an error code for the whole request."""
    try:
        return "error_code" in response_type(api_key, version).__dataclass_fields__
    except ModuleNotFoundError:
        return False


def make_failure(entity_type: type[Any], error: KafkaError) -> Entity:
    """A response that carries `error` and is empty otherwise."""
    values: dict[str, object] = {
        name: _nothing(field.type)
        for name, field in entity_type.__dataclass_fields__.items()
        if field.default is MISSING and field.default_factory is MISSING
    }
    values["throttle_time"] = timedelta(0)
    values["error_code"] = error_code(error.code)
    values["error_message"] = str(error)
    return make(entity_type, **values)


def _nothing(field_type: Any) -> object:
    if "tuple" in str(field_type):
        return ()
    if "None" in str(field_type):
        return None
    if "imedelta" in str(field_type):
        return timedelta(0)
    if "TZAware" in str(field_type) or "datetime" in str(field_type):
        return datetime.fromtimestamp(0, UTC)
    return field_type() if field_type in (str, bytes, bool) else -1
