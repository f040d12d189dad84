"""Lab 01: its exercises, its verdicts under sabotage, and the mount that fills up."""

from __future__ import annotations

import random
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.labs.right_code import dealt_and_turned
from zerocopy_lab.classroom.evidence import Likeness, Verdict
from zerocopy_lab.classroom.exercises import State, exercise_of, grade_of
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.manifest import lab_entry
from zerocopy_lab.classroom.subject import THIS_BROKER, kafka_here
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab01 import even_replicas, full_mount, kafkas_placer, partition_homes
from zerocopy_lab.lessons.lab01 import where_a_partition_lives as lesson
from zerocopy_lab.lessons.lab01.full_mount import MOUNT_BYTES, FullMount
from zerocopy_lab.lessons.lab01.partition_homes import Home, KeyedTraffic, NextHome
from zerocopy_lab.lessons.lab01.where_a_partition_lives_exercises import what_is_uneven
from zerocopy_lab.log.file_names import TopicPartition
from zerocopy_lab.pictures.replica_map import sums_per_broker
from zerocopy_lab.placement.partitioners import java_partition, librdkafka_partition
from zerocopy_lab.running import apache_kafka

WHOLE = {TopicPartition("t", p): [Home(p % 3, 2, 1000)] for p in range(6)}
SPILL = FullMount(4 << 20, 4 << 20, 0, "Disk error", 0, 1 << 40, True)
BESIDE_THE_FULL_ONE = NextHome(1, 1)
A_KAFKA = kafka_here("4.2.0")


@pytest.fixture(params=[1, 2, 3, 4])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Lab:
    return Lab(lab_entry("01"), True, request.param, tmp_path, True)


def state_and_hint(exercise_id: str, answer: Any, lab: Lab) -> tuple[State, str]:
    grade, trace = grade_of(exercise_of(exercise_id), answer, lab)
    assert trace == []
    return grade.state, grade.words


def fewest(partition_counts: list[int]) -> int:
    return min(range(len(partition_counts)), key=partition_counts.__getitem__)


def windows(partitions: int, replicas: int, brokers: int) -> list[list[int]]:
    """Replicas are even, leaders are not."""
    return [[(p * replicas + n) % brokers for n in range(replicas)] for p in range(partitions)]


def as_kafka_did(partitions: int, replicas: int, brokers: int) -> list[tuple[int, ...]]:
    shifted = even_replicas.ALGORITHMS[0]
    placed = even_replicas.place(partitions, replicas, brokers, 1, shifted, 0)
    return list(placed.values())


@pytest.mark.parametrize("exercise_id", ["01.1", "01.2", "01.3", "01.4"])
def test_a_stub_is_not_attempted(exercise_id: str, lab: Lab) -> None:
    assert state_and_hint(exercise_id, None, lab)[0] is State.NOT_ATTEMPTED


def test_the_next_directory(lab: Lab) -> None:
    assert state_and_hint("01.1", fewest, lab)[0] is State.PASSED
    state, hint = state_and_hint("01.1", min, lab)  # the count, not its place
    assert state is State.FAILED
    assert "place in the list" in hint or "with fewer" in hint


def test_the_partition_of_a_key(lab: Lab) -> None:
    key, count = lesson.key_question(lab)
    assert state_and_hint("01.2", zlib.crc32(key) % count, lab)[0] is State.PASSED
    state, hint = state_and_hint("01.2", java_partition(key, count), lab)
    assert state is State.FAILED
    assert "Java" in hint
    assert state_and_hint("01.2", count, lab)[0] is State.FAILED


def test_the_bound_of_one_partition(lab: Lab) -> None:
    brokers, disks, disk_gib, replicas = lesson.cluster_question(lab)
    assert state_and_hint("01.3", disk_gib, lab)[0] is State.PASSED
    state, hint = state_and_hint("01.3", disk_gib * disks, lab)
    assert state is State.FAILED
    assert "over its disks" in hint
    for wrong in (brokers * disks * disk_gib, brokers * disks * disk_gib / replicas):
        state, hint = state_and_hint("01.3", wrong, lab)
        assert state is State.FAILED
        assert "bounds a topic" in hint


def test_a_placement_more_even_than_kafkas(lab: Lab) -> None:
    assert state_and_hint("01.4", dealt_and_turned, lab)[0] is State.PASSED
    for wrong, says in (
        (windows, "leaders a broker"),
        (as_kafka_did, "replicas a broker"),
        (lambda p, r, b: [[0] * r] * p, "twice on one broker"),
        (lambda p, r, b: [[0]] * p, "should be on 3 brokers"),
        (lambda p, r, b: [], "one entry a partition"),
        (lambda p, r, b: [[b, 1, 2]] * p, "numbered 0 to 5"),
    ):
        state, hint = state_and_hint("01.4", wrong, lab)
        assert state is State.FAILED
        assert says in hint
    assert state_and_hint("01.4", lambda *_: None, lab)[0] is State.NOT_ATTEMPTED
    assert state_and_hint("01.4", 7, lab)[0] is State.FAILED


def test_no_right_placement_fails() -> None:
    """By brute force: counted one by one, ten thousand clusters, in an order and in names that
    the lab's own answer does not have.
    """
    draw = random.Random(7)
    for _ in range(10_000):
        brokers = draw.randrange(1, 10)
        replicas = draw.randrange(1, min(brokers, 4) + 1)
        placed = dealt_and_turned(draw.randrange(1, 25), replicas, brokers)
        names = draw.sample(range(brokers), brokers)
        placed = [[names[broker] for broker in held] for held in placed]
        draw.shuffle(placed)
        stored = [sum(b in held for held in placed) for b in range(brokers)]
        led = [sum(held[0] == b for held in placed) for b in range(brokers)]
        is_right = max(stored) - min(stored) <= 1 and max(led) - min(led) <= 1
        assert is_right == (what_is_uneven(placed, len(placed), replicas, brokers) == "")
        assert is_right


def verdicts(
    homes: Any, spill: FullMount | Unmeasured, subject: Any = A_KAFKA
) -> dict[tuple[str, str], Verdict | Likeness]:
    """Those of what was asked; the cited ones are of others."""
    found = lesson.findings(subject, "zerocopy_lab", homes, spill, BESIDE_THE_FULL_ONE)
    return {(f.claim_id, f.part): f.verdict for f in found if f.about == subject}


def test_whole_partitions_support_the_claims() -> None:
    assert set(verdicts(WHOLE, SPILL).values()) == {Verdict.SUPPORTED}
    ours = verdicts(WHOLE, SPILL, THIS_BROKER)
    assert set(ours.values()) == {Likeness.DOES_SO}


def test_a_partition_in_two_directories_contradicts_s1() -> None:
    split = {**WHOLE, TopicPartition("t", 9): [Home(0, 1, 10), Home(1, 1, 10)]}
    assert verdicts(split, SPILL)["S1", lesson.WHOLE] is Verdict.CONTRADICTED


def test_a_directory_that_stays_empty_contradicts_s2() -> None:
    one_only = {key: [Home(0, 1, 1)] for key in WHOLE}
    assert verdicts(one_only, SPILL)["S2", ""] is Verdict.CONTRADICTED


@pytest.mark.parametrize(
    "otherwise",
    [
        SPILL._replace(stored_bytes=5 << 20),
        SPILL._replace(bytes_of_it_elsewhere=1),
        SPILL._replace(refusal=""),
        SPILL._replace(other_partition_goes_on=False),
    ],
)
def test_a_bound_that_does_not_hold_contradicts_s1(otherwise: FullMount) -> None:
    assert verdicts(WHOLE, otherwise)["S1", full_mount.BOUND] is Verdict.CONTRADICTED


def test_what_cannot_be_seen_is_no_verdict() -> None:
    found = verdicts({}, Unmeasured("no user namespaces"))
    assert set(found.values()) == {Verdict.NOT_TESTABLE}
    assert "no user namespaces" in full_mount.spill_words(Unmeasured("no user namespaces"))
    assert full_mount.spill_answer(Unmeasured("")) is None
    assert lesson.next_answer(Unmeasured("")) is None


def test_what_happened_to_a_record_is_told_apart() -> None:
    assert full_mount.spill_answer(SPILL._replace(bytes_of_it_elsewhere=9)) == 1
    assert full_mount.spill_answer(SPILL) == 2
    assert full_mount.spill_answer(SPILL._replace(refusal="")) == 3
    assert lesson.next_answer(NextHome(2, 2)) == 1
    assert lesson.next_answer(NextHome(0, 2)) == 2


def test_how_even_ten_times_three_on_six_is() -> None:
    for algorithm in even_replicas.ALGORITHMS:
        assert even_replicas.evenness(algorithm, 1)[:3] == (4, 6, 0)
    assert even_replicas.evenness(even_replicas.ALGORITHMS[1], 3) == (5, 5, 30, 30)
    assert lesson.fullest_answer() == 2


def test_sums_decide_s3() -> None:
    uneven, even = even_replicas.Evenness(2, 9, 0, 9), even_replicas.Evenness(5, 5, 9, 9)
    for seen, verdict in ((uneven, Verdict.CONTRADICTED), (even, Verdict.SUPPORTED)):
        found = lesson.evenness_findings(A_KAFKA, seen, even)
        assert [each.verdict for each in found] == [verdict, verdict]


@pytest.mark.skipif(apache_kafka.unavailable() is not None, reason="no Java")
def test_kafkas_own_class_is_as_uneven() -> None:
    answers = kafkas_placer.kafkas_answers(10, 3, 6, 1)
    if isinstance(answers, Unmeasured):
        pytest.skip(answers.reason)
    assert len(answers) == kafkas_placer.SEEDS
    sums = [sums_per_broker(each, range(6)) for each in answers]
    assert {sum(each) for each in sums} == {30}
    assert even_replicas.evenness_of(answers, 6)[:3] == (4, 6, 0)


def test_more_replicas_than_brokers_are_not_drawn_as_a_cluster() -> None:
    asked: dict[str, Any] = {
        "brokers": 2,
        "partitions": 3,
        "replicas": 5,
        "racks": 1,
        "algorithm": even_replicas.ALGORITHMS[1],
    }
    picture, words = even_replicas.replicas_picture(**asked), even_replicas.replicas_words(**asked)
    assert "Kafka refuses" in words
    grid = picture.axes[0]
    assert not grid.patches
    assert "Kafka refuses" in " ".join(grid.texts[0].get_text().split())


def test_keys_that_agree_and_keys_that_do_not() -> None:
    count = 7
    keys = [f"K{n}".encode() for n in range(50)]
    places = {key: frozenset({librdkafka_partition(key, count)}) for key in keys}
    traffic = KeyedTraffic(places, 50, count)
    assert traffic.agreeing(librdkafka_partition) == 50
    assert 0 < traffic.agreeing(java_partition) < 50
    assert lesson.same_key_answer(traffic) == 2


def test_homes_are_found_by_looking(tmp_path: Path) -> None:
    for directory, name, segments in (("a", "x-0", 2), ("b", "x-0", 1), ("b", "y-10", 1)):
        path = tmp_path / directory / name
        path.mkdir(parents=True)
        for number in range(segments):
            (path / f"{number:020d}.log").write_bytes(b"12345")
    (tmp_path / "b" / "y-11.abc-delete").mkdir()
    (tmp_path / "b" / "__cluster_metadata-0").mkdir()
    (tmp_path / "b" / "recovery-point-offset-checkpoint").write_text("0\n")
    assert partition_homes.find_homes([tmp_path / "a", tmp_path / "b"]) == {
        ("x", 0): [Home(0, 2, 10), Home(1, 1, 5)],
        ("y", 10): [Home(1, 1, 5)],
    }


@pytest.mark.namespaces
@pytest.mark.skipif(sys.platform != "linux", reason="mount namespaces are Linux's")
def test_a_full_mount_stops_one_partition_and_no_other() -> None:
    spill = full_mount.fill_in_namespace("zerocopy_lab")
    if isinstance(spill, Unmeasured):
        pytest.skip(spill.reason)
    assert MOUNT_BYTES * 0.9 < spill.stored_bytes <= MOUNT_BYTES
    assert spill.refusal
    assert spill.bytes_of_it_elsewhere == 0
    assert spill.other_partition_goes_on


def test_without_unshare_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "no `unshare`" in str(full_mount.fill_in_namespace("zerocopy_lab"))
    assert "nobody may fill them" in str(full_mount.fill_in_namespace("somewhere:9092"))
