"""Lab 01: its exercises, its verdicts under sabotage, and the mount that fills up."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from zerocopy_lab.classroom.evidence import Likeness, Verdict
from zerocopy_lab.classroom.exercises import State, exercise_of, grade_of
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.manifest import lab_entry
from zerocopy_lab.lessons.lab01 import even_replicas, partition_homes
from zerocopy_lab.lessons.lab01 import where_a_partition_lives as lesson
from zerocopy_lab.lessons.lab01.partition_homes import Home, KeyedTraffic
from zerocopy_lab.log.file_names import TopicPartition
from zerocopy_lab.running.full_mount import MOUNT_BYTES, FullMount, fill_in_namespace

WHOLE = {TopicPartition("t", p): [Home(p % 3, 2, 1000)] for p in range(6)}
SPILL = FullMount(4 << 20, 4 << 20, "KafkaStorageError: full", 1 << 40, True)


@pytest.fixture(params=[1, 2, 3, 4])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Lab:
    return Lab(lab_entry("01"), True, request.param, tmp_path, True)


def state_and_hint(exercise_id: str, answer: Any, lab: Lab) -> tuple[State, str]:
    grade, trace = grade_of(exercise_of(exercise_id), answer, lab)
    assert trace == []
    return grade.state, grade.words


@pytest.mark.parametrize("exercise_id", ["01.1", "01.2", "01.3"])
def test_a_stub_is_not_attempted(exercise_id: str, lab: Lab) -> None:
    assert state_and_hint(exercise_id, None, lab)[0] is State.NOT_ATTEMPTED


def test_the_partition_of_a_key(lab: Lab) -> None:
    key, count = lesson.key_question(lab)
    assert state_and_hint("01.1", zlib.crc32(key) % count, lab)[0] is State.PASSED
    state, hint = state_and_hint("01.1", lesson.java_partition(key, count), lab)
    assert state is State.FAILED
    assert "Java" in hint
    assert state_and_hint("01.1", count, lab)[0] is State.FAILED


def test_the_bound_of_one_partition(lab: Lab) -> None:
    brokers, disks, disk_gib, replicas = lesson.cluster_question(lab)
    assert state_and_hint("01.2", disk_gib, lab)[0] is State.PASSED
    state, hint = state_and_hint("01.2", disk_gib * disks, lab)
    assert state is State.FAILED
    assert "over its disks" in hint
    for wrong in (brokers * disks * disk_gib, brokers * disks * disk_gib / replicas):
        state, hint = state_and_hint("01.2", wrong, lab)
        assert state is State.FAILED
        assert "bounds a topic" in hint


def test_partitions_that_make_it_even(lab: Lab) -> None:
    question = lesson.even_question(lab)
    brokers, replicas, at_least = question
    rounds = -(-at_least // brokers)
    assert state_and_hint("01.3", rounds * brokers, lab)[0] is State.PASSED
    divisible = next(p for p in range(at_least, 99) if p * replicas % brokers == 0)
    if divisible < rounds * brokers:
        state, hint = state_and_hint("01.3", divisible, lab)
        assert state is State.FAILED
        assert "division comes out even" in hint
    state, hint = state_and_hint("01.3", (rounds + 1) * brokers, lab)
    assert state is State.FAILED
    assert "fewer" in hint
    assert state_and_hint("01.3", at_least - 1, lab)[0] is State.FAILED
    assert state_and_hint("01.3", "twelve", lab)[0] is State.FAILED


def verdicts(homes: Any, spill: FullMount | str) -> dict[tuple[str, str], Verdict | Likeness]:
    return {(f.claim_id, f.part): f.verdict for f in lesson.findings(homes, spill)}


def test_whole_partitions_support_the_claims() -> None:
    assert set(verdicts(WHOLE, SPILL).values()) == {Verdict.SUPPORTED}


def test_a_partition_in_two_directories_contradicts_s1() -> None:
    split = {**WHOLE, TopicPartition("t", 9): [Home(0, 1, 10), Home(1, 1, 10)]}
    assert verdicts(split, SPILL)["S1", "never split"] is Verdict.CONTRADICTED


def test_a_directory_that_stays_empty_contradicts_s2() -> None:
    one_only = {key: [Home(0, 1, 1)] for key in WHOLE}
    assert verdicts(one_only, SPILL)["S2", ""] is Verdict.CONTRADICTED


def test_a_bound_that_does_not_hold_contradicts_s1() -> None:
    part = ("S1", "bounded by one mount point")
    assert verdicts(WHOLE, SPILL._replace(stored_bytes=5 << 20))[part] is Verdict.CONTRADICTED
    assert verdicts(WHOLE, "no user namespaces")[part] is Verdict.NOT_TESTABLE


def test_how_even_ten_times_three_on_six_is() -> None:
    for algorithm in even_replicas.ALGORITHMS:
        assert even_replicas.evenness(algorithm, 1)[:3] == (4, 6, 0)
    assert even_replicas.evenness(even_replicas.ALGORITHMS[1], 3) == (5, 5, 30, 30)
    assert lesson.fullest_answer() == "6"


def test_keys_that_agree_and_keys_that_do_not() -> None:
    count = 7
    keys = [f"K{n}".encode() for n in range(50)]
    places = {key: frozenset({lesson.librdkafka_partition(key, count)}) for key in keys}
    traffic = KeyedTraffic(places, 50, count)
    assert traffic.agreeing(lesson.librdkafka_partition) == 50
    assert 0 < traffic.agreeing(lesson.java_partition) < 50
    assert lesson.same_key_answer(traffic) == lesson.SAME_KEY_CHOICES[1]


def test_homes_are_found_by_looking(tmp_path: Path) -> None:
    for directory, name, segments in (("a", "x-0", 2), ("b", "x-0", 1), ("b", "y-10", 1)):
        path = tmp_path / directory / name
        path.mkdir(parents=True)
        for number in range(segments):
            (path / f"{number:020d}.log").write_bytes(b"12345")
    (tmp_path / "b" / "y-11.abc-delete").mkdir()
    (tmp_path / "b" / "recovery-point-offset-checkpoint").write_text("0\n")
    assert partition_homes.find_homes([tmp_path / "a", tmp_path / "b"]) == {
        ("x", 0): [Home(0, 2, 10), Home(1, 1, 5)],
        ("y", 10): [Home(1, 1, 5)],
    }


@pytest.mark.namespaces
@pytest.mark.skipif(sys.platform != "linux", reason="mount namespaces are Linux's")
def test_a_full_mount_stops_one_partition_and_no_other() -> None:
    spill = fill_in_namespace()
    if isinstance(spill, str):
        pytest.skip(spill)
    assert MOUNT_BYTES * 0.9 < spill.stored_bytes <= MOUNT_BYTES
    assert "No space left" in spill.error
    assert spill.other_partition_goes_on


def test_without_unshare_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "no `unshare`" in str(fill_in_namespace())
