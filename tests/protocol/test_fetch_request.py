"""Fetch requests read by hand: the same as kio reads, in every version; and nothing else is taken
for one.
"""

from __future__ import annotations

from dataclasses import astuple
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.served import VERSIONS, request_in
from zerocopy_lab.errors import FrameError
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.fetch import (
    FLEXIBLE_FROM,
    TOPIC_IDS_FROM,
    FetchRequest,
    read_fetch_request,
)
from zerocopy_lab.protocol.versions import ApiKey

RANGE = VERSIONS[ApiKey.fetch]
SERVED = range(RANGE.lowest, RANGE.highest + 1)

int32 = st.integers(-(1 << 31), (1 << 31) - 1)
int64 = st.integers(-(1 << 63), (1 << 63) - 1)
names = st.text(max_size=300)
wanted = st.lists(
    st.tuples(names, st.lists(st.tuples(int32, int64, int32, int32, int64), max_size=4)),
    max_size=4,
)
forgotten = st.lists(st.tuples(names, st.lists(int32, max_size=3)), max_size=2)


def called(version: int, topic: str) -> dict[str, Any]:
    """A name, or an id made of it."""
    if version < TOPIC_IDS_FROM:
        return {"topic": topic}
    return {"topic_id": UUID(int=sum(topic.encode()) + 1)}


def frame_of(version: int, topics: Any, gone: Any = (), rack_id: str = "", **head: Any) -> bytes:
    """The frame without its length; fields that a version does not have are left out."""
    types = messages.types_of(ApiKey.fetch, version, "request")
    request = messages.make(
        types.FetchRequest,
        **{
            "replica_id": -1,
            "max_wait": timedelta(milliseconds=500),
            "min_bytes": 1,
            "max_bytes": 1 << 20,
            "isolation_level": 0,
            "session_id": 0,
            "session_epoch": -1,
            "rack_id": rack_id,
            "topics": tuple(
                messages.make(
                    types.FetchTopic,
                    **called(version, topic),
                    partitions=tuple(
                        messages.make(
                            types.FetchPartition,
                            partition=partition,
                            fetch_offset=fetch_offset,
                            partition_max_bytes=most,
                            current_leader_epoch=epoch,
                            log_start_offset=start,
                        )
                        for partition, fetch_offset, most, epoch, start in partitions
                    ),
                )
                for topic, partitions in topics
            ),
            "forgotten_topics_data": tuple(
                messages.make(
                    types.ForgottenTopic, **called(version, topic), partitions=tuple(partitions)
                )
                for topic, partitions in gone
            )
            if version >= 7
            else (),
            **head,
        },
    )
    return messages.encode_request(version, 7, "client", request)[4:]


def read(frame: bytes | memoryview) -> FetchRequest:
    view = memoryview(frame)
    header = request_in(view)
    return read_fetch_request(view, header.body_at, header.api_version)


@settings(deadline=None)  # the first of a version loads kio's modules of it
@given(
    version=st.sampled_from(list(SERVED)),
    topics=wanted,
    gone=forgotten,
    rack_id=names,
    wait_ms=st.integers(0, (1 << 31) - 1),
    min_bytes=int32,
    max_bytes=int32,
    session_id=int32,
    session_epoch=int32,
)
def test_every_version_is_read_as_it_was_written(
    version: int,
    topics: Any,
    gone: Any,
    rack_id: str,
    wait_ms: int,
    min_bytes: int,
    max_bytes: int,
    session_id: int,
    session_epoch: int,
) -> None:
    frame = frame_of(
        version,
        topics,
        gone,
        rack_id,
        max_wait=timedelta(milliseconds=wait_ms),
        min_bytes=min_bytes,
        max_bytes=max_bytes,
        session_id=session_id,
        session_epoch=session_epoch,
    )
    request = read(frame)
    assert (request.max_wait_ms, request.min_bytes) == (wait_ms, min_bytes)
    assert request.max_bytes == max_bytes
    assert request.session_epoch == (session_epoch if version >= 7 else -1)
    expected = [
        (called(version, topic), [part[:3] for part in partitions]) for topic, partitions in topics
    ]
    read_back: list[Any] = [
        (
            {"topic": t.key} if isinstance(t.key, str) else {"topic_id": UUID(bytes=t.key)},
            [astuple(wanted) for wanted in t.partitions],
        )
        for t in request.topics
    ]
    assert read_back == expected


@pytest.mark.parametrize("version", SERVED)
@pytest.mark.parametrize("gone", [[], [("gone", [1, 2])]])
def test_a_request_cut_anywhere_is_none(version: int, gone: Any) -> None:
    topics = [("flights", [(0, 5, 100, 0, 0), (1, 7, 100, 0, 0)]), ("größe", [])]
    frame = frame_of(version, topics, gone if version >= 7 else (), "rack")
    body_at = request_in(frame).body_at
    assert len(read(frame).topics) == 2
    for length in range(body_at, len(frame)):
        with pytest.raises(FrameError):
            read(frame[:length])


@pytest.mark.parametrize("version", SERVED)
@pytest.mark.parametrize("announced", [b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff"])
def test_what_is_announced_must_fit(version: int, announced: bytes) -> None:
    """Two thousand million topics or partitions in a few bytes, and fewer than none."""
    frame = bytearray(frame_of(version, [("flights", [(0, 5, 100, 0, 0)])]))
    if version < FLEXIBLE_FROM:
        count_at = request_in(frame).body_at + (17 if version < 7 else 25)
        places, length = (count_at, count_at + 4 + 2 + len("flights")), 4
    else:
        count_at = request_in(frame).body_at + (25 if version < 15 else 21)
        key_bytes = 1 + len("flights") if version < TOPIC_IDS_FROM else 16
        places, length = (count_at, count_at + 1 + key_bytes), 1
        announced = b"\xff\xff\xff\xff\x07" if announced[0] == 0x7F else b"\x00"
    for at in places:
        wrong = frame.copy()
        wrong[at : at + length] = announced
        with pytest.raises(FrameError):
            read(bytes(wrong))


@given(version=st.sampled_from(list(SERVED)), rubbish=st.binary(max_size=200))
def test_rubbish_is_read_or_refused_and_nothing_else(version: int, rubbish: bytes) -> None:
    try:
        request = read_fetch_request(memoryview(rubbish), 0, version)
    except FrameError:
        return
    assert sum(1 + len(topic.partitions) for topic in request.topics) <= len(rubbish)
