"""Fetch responses as pieces: with the slices filled in, they are byte for byte what kio writes."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.served import VERSIONS
from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.fetch import (
    TOPIC_IDS_FROM,
    FetchedPartition,
    FetchedTopic,
    fetch_response,
)
from zerocopy_lab.protocol.framing import Pieces
from zerocopy_lab.protocol.versions import ApiKey

SERVED = range(VERSIONS[ApiKey.fetch].lowest, VERSIONS[ApiKey.fetch].highest + 1)


@pytest.fixture
def segment(tmp_path: Path) -> OpenFile:
    path = tmp_path / "00000000000000000000.log"
    path.write_bytes(bytes(range(256)) * 100)
    return OpenFile.open(path)


def on_the_wire(pieces: Pieces) -> bytes:
    """What a receiver sees: each slice replaced by the bytes that it stands for."""
    return b"".join(
        p.file.path.read_bytes()[p.position : p.position + p.length]
        if isinstance(p, FileSlice)
        else p
        for p in pieces
    )


def by_kio(version: int, correlation_id: int, topics: list[FetchedTopic]) -> bytes:
    types = messages.response_types(ApiKey.fetch, version)
    entity = messages.make(
        types.FetchResponse,
        error_code=messages.error_code(0),
        session_id=0,
        responses=tuple(
            messages.make(
                types.FetchableTopicResponse,
                **(
                    {"topic": topic.key}
                    if isinstance(topic.key, str)
                    else {"topic_id": UUID(bytes=topic.key)}
                ),
                partitions=tuple(
                    messages.make(
                        types.PartitionData,
                        partition_index=p.partition,
                        error_code=messages.error_code(p.error_code),
                        high_watermark=p.high_watermark,
                        last_stable_offset=p.high_watermark,
                        log_start_offset=p.log_start_offset,
                        aborted_transactions=None,
                        preferred_read_replica=-1,
                        records=b"" if p.records is None else on_the_wire([p.records]),
                    )
                    for p in topic.partitions
                ),
            )
            for topic in topics
        ),
    )
    return messages.encode_response(ApiKey.fetch, version, correlation_id, entity)


@pytest.mark.parametrize("version", SERVED)
def test_every_version_is_what_kio_writes(version: int, segment: OpenFile) -> None:
    topics = [
        FetchedTopic(
            key(version, "flights"),
            [
                FetchedPartition(0, 0, 900, 100, FileSlice(segment, 4096, 300)),
                FetchedPartition(3, 1, -1, -1, None),
                FetchedPartition(4, 0, 12, 0, FileSlice(segment, 0, 20_000)),
            ],
        ),
        FetchedTopic(key(version, "empty"), []),
        FetchedTopic(key(version, "größe"), [FetchedPartition(0, 0, 5, 5, None)]),
    ]
    pieces = fetch_response(42, version, topics)
    assert on_the_wire(pieces) == by_kio(version, 42, topics)
    assert sum(isinstance(p, FileSlice) for p in pieces) == 2


def key(version: int, name: str) -> str | bytes:
    """What a topic is called: by its name, or an id made of it."""
    return name if version < TOPIC_IDS_FROM else name.encode().ljust(16, b"\1")[:16]


def test_a_topic_without_partitions_and_a_response_without_topics(segment: OpenFile) -> None:
    for version in SERVED:
        for topics in ([], [FetchedTopic(key(version, "t"), [])]):
            assert on_the_wire(fetch_response(1, version, topics)) == by_kio(version, 1, topics)


@pytest.mark.parametrize(("version", "pieces"), [(11, 2 * 1000), (12, 2 * 1000 + 1)])
def test_tagged_fields_cost_a_piece_and_not_one_for_each_partition(
    version: int, pieces: int, segment: OpenFile
) -> None:
    partitions = [FetchedPartition(i, 0, 9, 0, FileSlice(segment, 0, 9)) for i in range(1000)]
    topics = [FetchedTopic("t", partitions)]
    assert len(fetch_response(1, version, topics)) == pieces


@given(
    version=st.sampled_from(list(SERVED)),
    counts=st.lists(st.lists(st.integers(0, 200), max_size=4), max_size=4),
)
def test_any_shape(
    version: int, counts: list[list[int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "shape.log"
    if not path.exists():
        path.write_bytes(bytes(range(200)))
    file = OpenFile.open(path)
    topics = [
        FetchedTopic(
            key(version, f"topic-{number}"),
            [
                FetchedPartition(i, 0, 9, 0, FileSlice(file, 0, length) if length else None)
                for i, length in enumerate(lengths)
            ],
        )
        for number, lengths in enumerate(counts)
    ]
    assert on_the_wire(fetch_response(5, version, topics)) == by_kio(version, 5, topics)
