"""Lab 02: its search against a walk over everything, its exercises, its verdict under sabotage."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zerocopy_lab.classroom.evidence import Verdict
from zerocopy_lab.classroom.exercises import State, exercise_of, grade_of
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.manifest import lab_entry
from zerocopy_lab.lessons.lab02 import segments_and_indexes as lesson
from zerocopy_lab.lessons.lab02.file_reading import find, read_partition
from zerocopy_lab.lessons.lab02.segments_and_indexes import StoppedPartition
from zerocopy_lab.lessons.lab02.segments_and_indexes_exercises import entries_needed
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.flight_events import Traffic

MESSAGES = 900


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed partition of several segments, three messages a batch."""
    root = tmp_path_factory.mktemp("lab02")
    logs = LogDirectories.open([root])
    settings = {"segment.bytes": "20000", "index.interval.bytes": "1000"}
    logs.create_topic("t", 1, settings)
    for first in range(0, MESSAGES, 3):
        records = [Record(n, 1000 + first + n, None, b"%070d" % (first + n), ()) for n in range(3)]
        logs.find("t", 0).append(memoryview(bytearray(build_batch(records))))
    logs.close()
    return root / "t-0"


@pytest.fixture
def partition(stored: Path, tmp_path: Path) -> Iterator[StoppedPartition]:
    """A copy that a test may spoil."""
    read_partition.cache_clear()
    directory = shutil.copytree(stored, tmp_path / "t-0")
    same = Traffic(1, 1, "x")
    yield StoppedPartition(directory, Traffic(MESSAGES, 0, ""), same, same)
    read_partition.cache_clear()


@pytest.fixture(params=[1, 2, 3, 4])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Lab:
    return Lab(lab_entry("02"), True, request.param, tmp_path, True)


def test_every_offset_is_found(partition: StoppedPartition) -> None:
    segments = read_partition(partition.directory)
    assert len(segments) > 3
    batches = {(s.base_offset, b.position): b for s in segments for b in s.batches}
    for offset in range(MESSAGES):
        search = find(partition.directory, offset)
        assert search.batch.first <= offset < search.batch.end
        assert batches[search.segment.base_offset, search.batch.position] == search.batch
        assert len(search.walked) < 8
        assert search.entry is None or search.entry[0] <= offset


@pytest.mark.parametrize("offset", [-1, MESSAGES, MESSAGES + 10**9])
def test_an_offset_outside_is_said_to_be_outside(partition: StoppedPartition, offset: int) -> None:
    with pytest.raises(LookupError, match=str(offset)):
        find(partition.directory, offset)


def test_the_pictures_and_words_of_any_offset(partition: StoppedPartition) -> None:
    for offset in (0, 1, 450, MESSAGES - 1):
        assert f"{offset:,}" in lesson.search_picture(partition, offset).alt
        assert "index entries" in lesson.search_words(partition, offset)
        assert "baseOffset" in lesson.batch_picture(partition, offset).alt
        assert "no record knows its own offset" in lesson.batch_words(partition, offset)


def test_a_sound_log_supports_the_claim(partition: StoppedPartition, lab: Lab) -> None:
    found = lesson.searches(partition, lab)
    assert all(lesson.invariants(partition, found).values())
    assert lesson.findings(partition, found)[0].verdict is Verdict.SUPPORTED
    segments = read_partition(partition.directory)
    assert lesson.which_answer(segments) == "the last"


def index_of(partition: StoppedPartition, number: int) -> Path:
    return sorted(partition.directory.glob("*.index"))[number]


def test_an_index_that_is_off_by_one_breaks_the_invariant(
    partition: StoppedPartition, lab: Lab
) -> None:
    index = index_of(partition, 1)
    octets = bytearray(index.read_bytes())
    octets[11] += 1  # the second entry's relative offset
    index.write_bytes(octets)
    invariants = lesson.invariants(partition, lesson.searches(partition, lab))
    assert not invariants["every index entry is the last offset of the batch at its position"]
    with pytest.raises(ValueError, match="neither first nor last"):
        lesson.which_answer(read_partition(partition.directory))


def test_a_log_without_index_entries_breaks_the_invariant(
    partition: StoppedPartition, lab: Lab
) -> None:
    for index in partition.directory.glob("*.index"):
        index.write_bytes(b"")
    found = lesson.searches(partition, lab)
    assert list(lesson.invariants(partition, found).values()).count(False) == 1


def test_a_missing_segment_contradicts_the_claim(partition: StoppedPartition) -> None:
    gone = sorted(partition.directory.glob("*.log"))[1]
    gone.unlink()
    found = [(0, find(partition.directory, 0))]
    assert lesson.findings(partition, found)[0].verdict is Verdict.CONTRADICTED


def test_a_flipped_bit_breaks_the_invariant(partition: StoppedPartition, lab: Lab) -> None:
    log = sorted(partition.directory.glob("*.log"))[0]
    octets = bytearray(log.read_bytes())
    octets[100] ^= 1
    log.write_bytes(octets)
    invariants = lesson.invariants(partition, lesson.searches(partition, lab))
    assert not invariants["every batch is whole"]


@pytest.mark.parametrize(("share", "answer"), [(0.9, 0), (0.1, 1), (0.01, 2), (0.0019, 3)])
def test_the_size_of_the_index_in_words(share: float, answer: int) -> None:
    assert lesson.size_answer(share) == lesson.SIZE_CHOICES[answer]


def state_and_hint(exercise_id: str, answer: Any, lab: Lab) -> tuple[State, str]:
    grade, _ = grade_of(exercise_of(exercise_id), answer, lab)
    return grade.state, grade.words


@pytest.mark.parametrize("exercise_id", ["02.1", "02.2", "02.3"])
def test_a_stub_is_not_attempted_and_nonsense_fails(exercise_id: str, lab: Lab) -> None:
    assert state_and_hint(exercise_id, None, lab)[0] is State.NOT_ATTEMPTED
    assert state_and_hint(exercise_id, "nonsense", lab)[0] is State.FAILED


def test_the_file_of_an_offset(lab: Lab) -> None:
    names, offset = lesson.name_question(lab)
    right = max(name for name in names if int(name[:20]) <= offset)
    assert state_and_hint("02.1", right, lab)[0] is State.PASSED
    state, hint = state_and_hint("02.1", names[names.index(right) + 1], lab)
    assert state is State.FAILED
    assert "first" in hint
    assert state_and_hint("02.1", names[0], lab)[0] is State.FAILED


def test_eight_bytes_of_an_index(lab: Lab) -> None:
    octets, name = lesson.entry_question(lab)
    relative, position = int.from_bytes(octets[:4], "big"), int.from_bytes(octets[4:], "big")
    offset = int(name[:20]) + relative
    assert state_and_hint("02.2", (offset, position), lab)[0] is State.PASSED
    for wrong, hint in (
        ((relative, position), "segment's base"),
        ((position, offset), "other order"),
        (
            (int.from_bytes(octets[:4], "little"), int.from_bytes(octets[4:], "little")),
            "big-endian",
        ),
    ):
        state, words = state_and_hint("02.2", wrong, lab)
        assert state is State.FAILED
        assert hint in words


def test_the_entries_of_a_sparse_index(lab: Lab) -> None:
    question = lesson.sparse_question(lab)
    batches_an_entry = question.interval_bytes // question.batch_bytes + 1
    right = (question.batches - 1) // batches_an_entry
    assert entries_needed(question) == right
    assert state_and_hint("02.3", right, lab)[0] is State.PASSED
    state, hint = state_and_hint("02.3", question.batches, lab)
    assert state is State.FAILED
    assert "sparse" in hint
    naive = question.batches * question.batch_bytes // question.interval_bytes
    state, hint = state_and_hint("02.3", naive, lab)
    assert state is State.FAILED
    assert "whole batches" in hint
