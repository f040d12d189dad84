"""Frames and request headers: tables of bytes and what they mean, and bytes from strangers."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kio.serial.writers import write_unsigned_varint
from kio.static.primitive import u32

from tests.served import VERSIONS, request_in
from zerocopy_lab.broker.produce import LOWEST_SERVED
from zerocopy_lab.errors import FrameError
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import framed, skip_tagged_fields
from zerocopy_lab.protocol.versions import ApiKey, Unserved
from zerocopy_lab.records.varint import unsigned_varint


def test_framed_puts_the_length_in_front() -> None:
    assert framed(b"abc") == b"\0\0\0\x03abc"


@pytest.mark.parametrize("client_id", [None, "", "kcat", "größe"])
@pytest.mark.parametrize(("key", "version"), [(k, v.highest) for k, v in VERSIONS.items()])
def test_a_header_survives_the_round_trip(key: ApiKey, version: int, client_id: str | None) -> None:
    raw = messages.request_header(key, version, 77, client_id)
    request = request_in(raw + b"body")
    assert (request.api_key, request.api_version) == (key, version)
    assert (request.correlation_id, request.client_id) == (77, client_id)
    assert (request.body_at, bytes(request.frame)) == (len(raw), raw + b"body")


def test_our_header_is_kios_header() -> None:
    """The hand-made header against the library that was generated from Kafka's definitions."""
    import io

    from kio.schema.request_header.v2.header import RequestHeader
    from kio.serial import entity_writer

    sink = io.BytesIO()
    theirs = messages.make(
        RequestHeader,
        request_api_key=3,
        request_api_version=12,
        correlation_id=9,
        client_id="me",
    )
    entity_writer(RequestHeader)(sink, theirs)
    assert messages.request_header(ApiKey.metadata, 12, 9, "me") == sink.getvalue()


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (b"", "0 bytes, too short"),
        (b"\0\x03\0\x09\0\0", "6 bytes, too short"),
        (struct.pack(">hhih", 999, 0, 1, -1), "request 999"),
        (struct.pack(">hhih", -1, 0, 1, -1), "request -1"),
        (struct.pack(">hhih", 3, 99, 1, -1), "metadata version 99"),
        (struct.pack(">hhih", 1, 3, 1, -1), "fetch version 3"),
        (struct.pack(">hhih", 3, 0, 1, 10) + b"abc", "client id of 10 bytes"),
        (struct.pack(">hhih", 3, 0, 1, 2) + b"\xff\xfe", "not UTF-8"),
        (struct.pack(">hhih", 3, 9, 1, -1), "tagged fields that do not end"),
        (struct.pack(">hhih", 3, 9, 1, -1) + b"\x7f", "127 tagged fields"),
    ],
)
def test_a_header_that_is_refused(frame: bytes, complaint: str) -> None:
    with pytest.raises(FrameError, match=complaint):
        request_in(frame)


def test_a_newer_client_is_told_the_versions() -> None:
    with pytest.raises(Unserved) as caught:
        request_in(struct.pack(">hhih", 18, 99, 5, -1) + b"whatever")
    assert caught.value.correlation_id == 5


def test_unknown_tagged_fields_are_skipped() -> None:
    two_fields = b"\x02" + b"\x00\x03abc" + b"\x81\x01\x00" + b"rest"
    assert two_fields[skip_tagged_fields(memoryview(two_fields), 0) :] == b"rest"


@given(st.binary(max_size=64))
def test_strangers_get_a_frame_error_or_a_header(frame: bytes) -> None:
    try:
        header = request_in(frame)
    except FrameError:
        return
    assert header.body_at <= len(frame)


@given(st.integers(0, 2**31 - 1))
def test_varints(value: int) -> None:
    raw = io.BytesIO()
    write_unsigned_varint(raw, u32(value))
    assert unsigned_varint(memoryview(raw.getvalue()), 0) == (value, raw.tell())


@given(st.sampled_from(list(VERSIONS)), st.data())
def test_a_strangers_body_causes_nothing_but_a_frame_error(
    key: ApiKey, data: st.DataObject
) -> None:
    lowest = LOWEST_SERVED if key is ApiKey.produce else VERSIONS[key].lowest
    version = data.draw(st.integers(lowest, VERSIONS[key].highest))
    body = data.draw(st.binary(max_size=200))
    with suppress(FrameError):
        messages.decode(key, version, memoryview(body))
