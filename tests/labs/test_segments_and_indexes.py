"""Lab 02: its search against a walk over everything, what is counted in the broker's own look-up,
its exercises, its verdicts under sabotage.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zerocopy_lab.classroom.evidence import Likeness, Verdict
from zerocopy_lab.classroom.exercises import State, exercise_of, grade_of
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.manifest import lab_entry
from zerocopy_lab.classroom.subject import THIS_BROKER, Subject, kafka_here
from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab02 import lookups
from zerocopy_lab.lessons.lab02 import segments_and_indexes as lesson
from zerocopy_lab.lessons.lab02.file_reading import find, read_partition
from zerocopy_lab.lessons.lab02.lookups import Looks, Reads, lookup_finding
from zerocopy_lab.lessons.lab02.segments_and_indexes import StoredPartition
from zerocopy_lab.lessons.lab02.segments_and_indexes_exercises import (
    entries_needed,
)
from zerocopy_lab.log.indexes import OffsetIndex
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.flight_events import Traffic
from zerocopy_lab.running.running_broker import RunningBroker

MESSAGES = 9000
TOPIC = "t"
JUMPS, SCANS = Looks(9, 249), Looks(250, 249)
KAFKA = kafka_here("4.2.0")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed partition of several segments, three messages a batch."""
    root = tmp_path_factory.mktemp("lab02")
    logs = LogDirectories.open([root])
    settings = {"segment.bytes": "200000", "index.interval.bytes": "1000", "retention.ms": "-1"}
    logs.create_topic(TOPIC, 1, settings)
    for first in range(0, MESSAGES, 3):
        records = [Record(n, 1000 + first + n, None, b"%070d" % (first + n), ()) for n in range(3)]
        logs.find(TOPIC, 0).append(memoryview(bytearray(build_batch(records))))
    logs.close()
    return root


@pytest.fixture
def partition(stored: Path, tmp_path: Path) -> Iterator[StoredPartition]:
    """A copy that a test may spoil."""
    read_partition.cache_clear()
    directory = shutil.copytree(stored, tmp_path / "data") / f"{TOPIC}-0"
    same = Traffic(1, 1, "x")
    yield StoredPartition(directory, Traffic(MESSAGES, 0, ""), same, same, THIS_BROKER)
    read_partition.cache_clear()


@pytest.fixture(params=[1, 2, 3, 4])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Lab:
    return Lab(lab_entry("02"), True, request.param, tmp_path, True)


@pytest.fixture
def one_lab(tmp_path: Path) -> Lab:
    return Lab(lab_entry("02"), True, 1, tmp_path, True)


def test_every_offset_is_found(partition: StoredPartition) -> None:
    segments = read_partition(partition.directory)
    assert len(segments) > 3
    batches = {(s.base_offset, b.position): b for s in segments for b in s.batches}
    for offset in range(0, MESSAGES, 7):
        search = find(partition.directory, offset)
        assert search.batch.first <= offset < search.batch.end
        assert batches[search.segment.base_offset, search.batch.position] == search.batch
        assert len(search.walked) < 8
        assert search.entry is None or search.entry[0] <= offset


@pytest.mark.parametrize("offset", [-1, MESSAGES, MESSAGES + 10**9])
def test_an_offset_outside_is_said_to_be_outside(partition: StoredPartition, offset: int) -> None:
    with pytest.raises(LookupError, match=str(offset)):
        find(partition.directory, offset)


def test_the_pictures_and_words_of_any_offset(partition: StoredPartition) -> None:
    for offset in (0, 1, 450, MESSAGES - 1):
        assert f"{offset:,}" in lesson.search_picture(partition, offset).alt
        assert "index entries" in lesson.search_words(partition, offset)
        assert "baseOffset" in lesson.batch_picture(partition, offset).alt
        assert "no record knows its own offset" in lesson.batch_words(partition, offset)


# -- the files -------------------------------------------------------------------------------------


def test_a_sound_log_is_an_illustration_of_ours_and_a_verdict_on_a_kafka(
    partition: StoredPartition,
) -> None:
    assert all(lesson.invariants(partition).values())
    assert lesson.files_finding(partition).verdict is Likeness.DOES_SO
    of_kafka = lesson.files_finding(partition._replace(written_by=KAFKA))
    assert of_kafka.verdict is Verdict.SUPPORTED


def index_of(partition: StoredPartition, number: int) -> Path:
    return sorted(partition.directory.glob("*.index"))[number]


def test_an_index_that_is_off_by_one_breaks_the_invariant(partition: StoredPartition) -> None:
    index = index_of(partition, 1)
    octets = bytearray(index.read_bytes())
    octets[11] += 1  # the second entry's relative offset
    index.write_bytes(octets)
    invariants = lesson.invariants(partition)
    assert not invariants["every index entry is the last offset of the batch at its position"]


def test_a_log_without_index_entries_breaks_the_invariant(partition: StoredPartition) -> None:
    for index in partition.directory.glob("*.index"):
        index.write_bytes(b"")
    assert list(lesson.invariants(partition).values()).count(False) == 1


def test_a_missing_segment_contradicts_the_claim(partition: StoredPartition) -> None:
    sorted(partition.directory.glob("*.log"))[1].unlink()
    found = lesson.files_finding(partition._replace(written_by=KAFKA))
    assert found.verdict is Verdict.CONTRADICTED
    assert "do not follow" in found.words


def test_a_flipped_bit_breaks_the_invariant(partition: StoredPartition) -> None:
    log = sorted(partition.directory.glob("*.log"))[0]
    octets = bytearray(log.read_bytes())
    octets[100] ^= 1
    log.write_bytes(octets)
    assert not lesson.invariants(partition)["every batch is whole"]


# -- the broker's own look-up ----------------------------------------------------------------------


def reads(bytes_each: float, *, right: bool = True) -> Reads:
    return Reads(Spread(bytes_each, bytes_each, bytes_each, 5), 24_000.0, 100, right)


@pytest.mark.parametrize(
    ("subject", "counted", "looks", "verdict", "word"),
    [
        (THIS_BROKER, reads(5120), JUMPS, Likeness.DOES_SO, "It jumps"),
        (THIS_BROKER, reads(5120), SCANS, Likeness.DOES_OTHERWISE, "it scans"),
        (THIS_BROKER, reads(500_000), JUMPS, Likeness.DOES_OTHERWISE, "It scans"),
        (THIS_BROKER, reads(24_000), JUMPS, Likeness.DOES_OTHERWISE, "It scans"),
        (KAFKA, reads(320), SCANS, Verdict.SUPPORTED, "It jumps"),  # those looks are not Kafka's
        (KAFKA, reads(30_000), JUMPS, Verdict.CONTRADICTED, "It scans"),
        (KAFKA, reads(320, right=False), JUMPS, Verdict.CONTRADICTED, "another batch"),
    ],
)
def test_what_was_counted_decides(
    subject: Subject, counted: Reads, looks: Looks, verdict: object, word: str
) -> None:
    found = lookup_finding(counted, looks, subject)
    assert found.verdict is verdict
    assert word in found.words


def test_what_could_not_be_counted_is_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    unseen = Unmeasured("there is no /proc here")
    assert lookup_finding(unseen, JUMPS, THIS_BROKER).verdict is Verdict.NOT_TESTABLE
    assert lookups.reads_answer(unseen) == (None, "there is no /proc here")
    lookups.show_costs(unseen, JUMPS)
    assert "not counted here" in capsys.readouterr().out


@pytest.mark.parametrize(("bytes_each", "answer"), [(0, 1), (320, 2), (5120, 2), (24_000, 3)])
def test_the_reads_in_the_notebooks_choices(bytes_each: float, answer: int) -> None:
    assert lookups.reads_answer(reads(bytes_each)) == (answer, "")


def test_our_look_up_does_not_scan(partition: StoredPartition, one_lab: Lab) -> None:
    looks = lookups.count_looks(partition.directory, one_lab)
    assert looks.entries > 100
    assert not looks.scans


def by_walking(self: OffsetIndex, relative_offset: int) -> int:
    """Sabotage: right, and through all entries."""
    found = 0
    for offset, position in self:
        if offset <= relative_offset:
            found = position
    return found


def test_a_look_up_that_scans_is_seen(
    partition: StoredPartition, one_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OffsetIndex, "position_before", by_walking)
    assert lookups.count_looks(partition.directory, one_lab).scans


WITHOUT_AN_INDEX = '''\
"""Python imports this module by itself at its start: every broker walks from the beginning."""

import sys

if "serve" in sys.orig_argv:
    from zerocopy_lab.log.indexes import OffsetIndex

    OffsetIndex.position_before = lambda self, relative_offset: 0
'''


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="/proc/PID/io is Linux's")
@pytest.mark.parametrize("sabotage", [False, True])
def test_a_broker_that_scans_is_seen_by_what_it_reads(
    partition: StoredPartition,
    one_lab: Lab,
    sabotage: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if sabotage:
        (tmp_path / "sitecustomize.py").write_text(WITHOUT_AN_INDEX)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with RunningBroker(partition.directory.parent) as broker:
        counted = lookups.count_reads(broker, TOPIC, partition.directory, one_lab)
    assert isinstance(counted, Reads)
    assert counted.right
    assert counted.scans is sabotage


@pytest.mark.parametrize(("share", "answer"), [(0.9, 1), (0.05, 2), (0.01, 3), (0.0019, 4)])
def test_the_size_of_the_index_in_the_notebooks_choices(share: float, answer: int) -> None:
    assert lesson.size_answer(share) == answer


# -- exercises -------------------------------------------------------------------------------------


def state_and_hint(exercise_id: str, answer: Any, lab: Lab) -> tuple[State, str]:
    grade, _ = grade_of(exercise_of(exercise_id), answer, lab)
    return grade.state, grade.words


@pytest.mark.parametrize("exercise_id", ["02.1", "02.2", "02.3"])
def test_a_stub_is_not_attempted_and_nonsense_fails(exercise_id: str, lab: Lab) -> None:
    assert state_and_hint(exercise_id, None, lab)[0] is State.NOT_ATTEMPTED
    assert state_and_hint(exercise_id, "nonsense", lab)[0] is State.FAILED


def test_eight_bytes_of_an_index(lab: Lab) -> None:
    octets, name = lesson.entry_question(lab)
    relative, position = int.from_bytes(octets[:4], "big"), int.from_bytes(octets[4:], "big")
    offset = int(name[:20]) + relative
    for right in ((offset, position), [offset, position]):
        assert state_and_hint("02.2", right, lab)[0] is State.PASSED
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
