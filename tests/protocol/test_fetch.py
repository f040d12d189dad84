"""Fetch responses as pieces: with the slices filled in, they are byte for byte what kio writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.fetch import FetchedPartition, FetchedTopic, fetch_response
from zerocopy_lab.protocol.framing import Pieces, total_bytes
from zerocopy_lab.protocol.versions import ApiKey

VERSIONS = range(4, 12)


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


def by_kio(version: int, correlation_id: int, topics: list[FetchedTopic], code: int = 0) -> bytes:
    types = messages.response_types(ApiKey.fetch, version)
    entity = messages.make(
        types.FetchResponse,
        error_code=messages.error_code(code),
        session_id=0,
        responses=tuple(
            messages.make(
                types.FetchableTopicResponse,
                topic=topic.topic,
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


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_what_kio_writes(version: int, segment: OpenFile) -> None:
    topics = [
        FetchedTopic(
            "flights",
            [
                FetchedPartition(0, 0, 900, 100, FileSlice(segment, 4096, 300)),
                FetchedPartition(3, 1, -1, -1, None),
                FetchedPartition(4, 0, 12, 0, FileSlice(segment, 0, 20_000)),
            ],
        ),
        FetchedTopic("empty", []),
        FetchedTopic("größe", [FetchedPartition(0, 0, 5, 5, None)]),
    ]
    pieces = fetch_response(42, version, topics)
    assert on_the_wire(pieces) == by_kio(version, 42, topics)
    assert total_bytes(pieces) == len(on_the_wire(pieces))
    assert sum(isinstance(p, FileSlice) for p in pieces) == 2


@pytest.mark.parametrize("version", range(7, 12))
def test_a_session_nobody_knows(version: int) -> None:
    assert on_the_wire(fetch_response(1, version, (), 70)) == by_kio(version, 1, [], 70)


@given(
    version=st.sampled_from(list(VERSIONS)),
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
            f"topic-{number}",
            [
                FetchedPartition(i, 0, 9, 0, FileSlice(file, 0, length) if length else None)
                for i, length in enumerate(lengths)
            ],
        )
        for number, lengths in enumerate(counts)
    ]
    assert on_the_wire(fetch_response(5, version, topics)) == by_kio(version, 5, topics)
