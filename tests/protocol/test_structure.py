"""Requests that claim to hold more than they do are refused before memory is reserved for it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.attacks.fuzz import seeds
from tests.served import VERSIONS, request_in
from zerocopy_lab.errors import FrameError
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Request
from zerocopy_lab.protocol.structure import check_structure
from zerocopy_lab.protocol.versions import ApiKey


def requests() -> list[tuple[Request, bytes]]:
    frames = [(request_in(frame), frame) for frame in seeds()]
    return [(header, frame) for header, frame in frames if header.api_key is not ApiKey.produce]


REQUESTS = requests()


def walk(header: Request, frame: bytes) -> int:
    request_type = messages.request_type(header.api_key, header.api_version)
    return check_structure(request_type, memoryview(frame), header.body_at)


def test_there_is_a_sample_of_every_request_in_every_version() -> None:
    expected = {
        (key, version)
        for key, versions in VERSIONS.items()
        for version in range(versions.lowest, versions.highest + 1)
        if key is not ApiKey.produce
    }
    assert {(header.api_key, header.api_version) for header, _ in REQUESTS} == expected


@pytest.mark.parametrize(("header", "frame"), REQUESTS, ids=lambda value: str(value)[:60])
def test_the_walk_ends_where_the_request_ends(header: Request, frame: bytes) -> None:
    assert walk(header, frame) == len(frame)
    assert walk(header, frame + b"more") == len(frame)
    if len(frame) > header.body_at:
        with pytest.raises(FrameError):
            walk(header, frame[:-1])


HUGE = b"\x7f\xff\xff\xff"
METADATA_BODY = 14  # key, version, correlation id, and a client id of 4 bytes


@pytest.mark.parametrize(
    ("version", "body"),
    [
        (1, HUGE),
        (1, b"\xff\xff\xff\xfe"),
        (1, b"\x00\x00\x00\x02\x00\x01t"),
        (1, b"\x00\x00\x00\x01\xff\xff"),
        (9, b"\0" + b"\xff\xff\xff\xff\x0f"),
        (9, b"\0" + b"\xff" * 10),
        (9, b"\0" + b"\x02\x02t\x01\x00\xff\xff\xff\x0f"),
    ],
    ids=[
        "too many items",
        "less than none",
        "an item is missing",
        "a null that must not be",
        "too many items, as a varint",
        "an endless varint",
        "a tagged field beyond the end",
    ],
)
def test_what_does_not_fit_in_is_refused(version: int, body: bytes) -> None:
    header = b"\x00\x03\x00" + bytes([version]) + b"\0\0\0\7\0\4fuzz"
    with pytest.raises(FrameError):
        messages.decode(ApiKey.metadata, version, memoryview(header + body), METADATA_BODY)


@given(st.sampled_from(REQUESTS), st.data())
def test_any_damage_is_refused_or_harmless(
    request_frame: tuple[Request, bytes], data: st.DataObject
) -> None:
    header, frame = request_frame
    damaged = bytearray(frame)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(min(header.body_at, len(frame) - 1), len(frame) - 1))
        damaged[at : at + 4] = data.draw(st.binary(min_size=1, max_size=4))
    with contextlib.suppress(FrameError):
        messages.decode(header.api_key, header.api_version, memoryview(damaged), header.body_at)
