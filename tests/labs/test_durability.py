"""Lab 11: what is said of what was counted; sabotage shows; whoever may see little is told so."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.labs.outcomes import outcome_of
from zerocopy_lab.classroom.evidence import Evidence, Finding, Likeness, Verdict
from zerocopy_lab.classroom.exercises import State, exercise_of, grade_of
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.subject import THIS_BROKER, kafka_here
from zerocopy_lab.instruments.page_residency import PageCounts
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab11 import durability as lesson
from zerocopy_lab.lessons.lab11 import (
    durability_findings,
    failed_fsync,
    flush_policies,
    flush_prices,
    replicas,
)
from zerocopy_lab.lessons.lab11.failed_fsync import FailedFlush, RefusedFlush
from zerocopy_lab.lessons.lab11.flush_policies import EACH, SOME, SYSTEM, Survivors
from zerocopy_lab.lessons.lab11.replicas import Feeding, Replicas
from zerocopy_lab.measuring.experiment import Outcome
from zerocopy_lab.pictures.theme import RECORDED_EARLIER
from zerocopy_lab.running.existing_cluster import ExistingCluster
from zerocopy_lab.running.running_broker import RunningBroker

LabOf = Callable[..., Lab]
KAFKA = kafka_here("4.2.0")
NOT_HERE = Unmeasured("this machine does not tell")

DISK, EACH_BATCH = "acknowledged means on the disk", "with flush.messages=1"
OUTLIVES, SAVES = "what is in the page cache outlives the broker", "it saves the wait for the disk"
MADE_GOOD, STOPS = "the next flush makes a failed one good", "a broker stops when a flush fails"
COPY = "what makes that safe is a copy elsewhere"


def survivors_of(system: int, some: int, each: int, *, torn: int = 0) -> list[Survivors]:
    """3,250 acknowledged; so many are left after a power cut, and so many a torn write took."""
    return [
        Survivors(policy, 3250, 3250, 3250 - torn, left, 650_000, 200 * left)
        for policy, left in ((SYSTEM, system), (SOME, some), (EACH, each))
    ]


def prices(system: float = 0.2, some: float = 0.21, each: float = 1.0) -> Outcome:
    rounds = [{SYSTEM: system * s, SOME: some * s, EACH: each * s} for s in (1, 1.1, 0.9) * 3]
    return outcome_of({flush_prices._NAME: rounds})


SEEN = survivors_of(0, 3000, 3250)
FAILED = FailedFlush("Input/output error", "done", 0, True, False)
REFUSED = RefusedFlush(81, 56, 56, 56, 81)
COPIED = Replicas(4500, 4000, True, Feeding(1, 0), 0, 4000, "ours")


def found(
    seen: lesson.Seen = SEEN,
    outcome: Outcome | None = None,
    failed: FailedFlush | Unmeasured = FAILED,
    refused: RefusedFlush | Unmeasured = REFUSED,
    copied: Replicas = COPIED,
) -> dict[str, Finding]:
    """What the lab concludes about a Kafka, by part."""
    told = durability_findings.findings(seen, outcome or prices(), failed, refused, copied, KAFKA)
    return {each.part: each for each in told if each.evidence is not Evidence.CITED}


def verdicts(**given: object) -> dict[str, object]:
    return {part: each.verdict for part, each in found(**given).items()}  # type: ignore[arg-type]


def test_verdicts_of_a_kafka_as_it_is() -> None:
    assert verdicts() == {
        DISK: Verdict.CONTRADICTED,
        EACH_BATCH: Verdict.SUPPORTED,
        OUTLIVES: Verdict.SUPPORTED,
        SAVES: Verdict.SUPPORTED,
        MADE_GOOD: Verdict.CONTRADICTED,
        STOPS: Verdict.SUPPORTED,
        COPY: Verdict.SUPPORTED,
    }
    words = found()[DISK].words
    assert "3,250 where the system decides" in words
    assert "250 where the broker flushes every 1,000 messages; 0 where" in words


@pytest.mark.parametrize(
    ("given", "part", "verdict"),
    [
        ({"seen": survivors_of(3250, 3250, 3250)}, DISK, Verdict.SUPPORTED),
        ({"seen": survivors_of(0, 3000, 3225)}, EACH_BATCH, Verdict.CONTRADICTED),
        ({"seen": survivors_of(0, 3000, 3250, torn=25)}, OUTLIVES, Verdict.CONTRADICTED),
        ({"outcome": prices(each=0.2)}, SAVES, Verdict.INCONCLUSIVE),
        ({"outcome": prices(each=0.1)}, SAVES, Verdict.CONTRADICTED),
        ({"failed": FAILED._replace(second="Input/output error")}, MADE_GOOD, Verdict.CONTRADICTED),
        ({"failed": FAILED._replace(on_disk=True)}, MADE_GOOD, Verdict.SUPPORTED),
        ({"failed": FAILED._replace(first="done")}, MADE_GOOD, Verdict.INCONCLUSIVE),
        ({"refused": REFUSED._replace(tried_again=0)}, STOPS, Verdict.CONTRADICTED),
        ({"refused": REFUSED._replace(on_disk=80)}, STOPS, Verdict.CONTRADICTED),
        ({"refused": REFUSED._replace(error=0)}, STOPS, Verdict.INCONCLUSIVE),
        ({"copied": COPIED._replace(identical=False)}, COPY, Verdict.CONTRADICTED),
        ({"copied": COPIED._replace(elected_serves=3975)}, COPY, Verdict.CONTRADICTED),
        ({"copied": COPIED._replace(leader_left=4500)}, COPY, Verdict.INCONCLUSIVE),
    ],
)
def test_what_was_measured_decides(given: dict[str, object], part: str, verdict: Verdict) -> None:
    assert verdicts(**given)[part] is verdict


def test_our_own_broker_is_no_evidence_for_kafka() -> None:
    told = durability_findings.findings(SEEN, prices(), FAILED, REFUSED, COPIED, THIS_BROKER)
    ours = {each.part: each.verdict for each in told if each.about == THIS_BROKER}
    assert ours[DISK] is Likeness.DOES_OTHERWISE
    assert {ours[part] for part in (EACH_BATCH, OUTLIVES, SAVES, STOPS, COPY)} == {Likeness.DOES_SO}


def test_where_little_can_be_seen_the_recorded_run_is_shown_and_nothing_judged(
    lab_of: LabOf,
) -> None:
    unseen = COPIED._replace(identical=NOT_HERE, fed_by=NOT_HERE, leader_left=NOT_HERE)
    told = verdicts(seen=NOT_HERE, failed=NOT_HERE, refused=NOT_HERE, copied=unseen)
    assert told.pop(SAVES) is Verdict.SUPPORTED
    assert set(told.values()) == {Verdict.NOT_TESTABLE}
    lab = lab_of("11")
    assert lesson.policies_picture(NOT_HERE, lab).alt.startswith(RECORDED_EARLIER)
    for words in (lesson.policies_words(NOT_HERE), failed_fsync.failed_flush_words(NOT_HERE)):
        assert "does not tell" in words
        assert "Recorded on" in words
    assert lesson.power_answer(NOT_HERE) is failed_fsync.failed_flush_answer(NOT_HERE) is None
    assert lesson.replicas_picture(unseen, lab).alt
    assert "not counted here" in lesson.replicas_words(unseen)


@pytest.mark.parametrize(("left", "answer"), [(3250, 1), (3000, 2), (0, 3)])
def test_the_answer_is_one_of_the_notebooks_choices(left: int, answer: int) -> None:
    assert lesson.power_answer(survivors_of(left, 3250, 3250)) == answer


def test_a_cluster_has_its_own_disks(lab_of: LabOf) -> None:
    cluster = ExistingCluster("127.0.0.1:9092")
    assert isinstance(failed_fsync.ask_a_broker(cluster.bootstrap), Unmeasured)


def test_a_machine_that_does_not_tell_dirty_pages_is_not_guessed_about(
    lab_of: LabOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = PageCounts(9, 9, None, None, None, None, "mincore")
    monkeypatch.setattr(flush_policies, "page_counts", lambda _: blind)
    with RunningBroker() as broker:
        seen = flush_policies.survivors(broker, lab_of("11"))
    assert isinstance(seen, Unmeasured)
    assert "cachestat" not in str(seen)
    assert "which pages wait for the disk" in str(seen)


# -- for real, and sabotaged -----------------------------------------------------------------------

FLUSHES_NOTHING = """
import os, sys
if "serve" in sys.orig_argv:
    os.fsync = os.fdatasync = lambda fd: None
"""
DROPS_A_GOOD_BATCH = """
import sys
if "serve" in sys.orig_argv:
    from zerocopy_lab.conformance.recovering import recovery
    from zerocopy_lab.log.startup.recovery import seat_recovery
    def drops_the_last(log, next_offset):
        end = good = recovery(log, next_offset)
        while end and recovery(log[:end], next_offset) == good:
            end -= 1
        return recovery(log[:end], next_offset)
    seat_recovery(drops_the_last)
"""
GOES_ON = """
import os, sys
if "serve" in sys.orig_argv:
    really = os.fdatasync
    def force(fd):
        try:
            really(fd)
        except OSError:
            pass
    os.fsync = os.fdatasync = force
"""


def sabotaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Python imports it by itself at its start, in every broker."""
    (tmp_path / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def seen_of(lab: Lab, settings: dict[str, str] | None = None) -> list[Survivors]:
    with RunningBroker(settings=settings) as broker:
        seen = flush_policies.survivors(broker, lab)
    if isinstance(seen, Unmeasured):
        pytest.skip(str(seen))
    return seen


def parts_of(seen: list[Survivors]) -> dict[str, object]:
    told = durability_findings.findings(seen, prices(), FAILED, REFUSED, COPIED, THIS_BROKER)
    return {each.part: each.verdict for each in told if each.about == THIS_BROKER}


def test_our_broker_keeps_what_it_should(lab_of: LabOf) -> None:
    seen = seen_of(lab_of("11"))
    assert [each.acknowledged for each in seen] == [3251] * 3
    assert [each.lost("kill") + each.lost("torn") for each in seen] == [0, 0, 0]
    assert [each.lost("power") for each in seen] == [3251, 250, 0]


def test_a_flush_of_every_batch_that_flushes_nothing_shows(
    lab_of: LabOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotaged(tmp_path, monkeypatch, FLUSHES_NOTHING)
    seen = seen_of(lab_of("11"))
    assert seen[-1].lost("power") == seen[-1].acknowledged
    assert parts_of(seen)[EACH_BATCH] is Likeness.DOES_OTHERWISE


def test_a_recovery_that_drops_a_good_batch_shows(
    lab_of: LabOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotaged(tmp_path, monkeypatch, DROPS_A_GOOD_BATCH)
    seen = seen_of(lab_of("11"))
    assert [each.lost("torn") for each in seen] == [flush_policies.BATCH] * 3
    assert parts_of(seen)[OUTLIVES] is Likeness.DOES_OTHERWISE


def test_a_broker_that_is_set_otherwise_is_not_taken_for_one_as_it_comes(lab_of: LabOf) -> None:
    seen = seen_of(lab_of("11"), {"flush.messages": "1"})
    assert "flush.messages" in seen[0].otherwise
    assert not seen[-1].otherwise
    told = parts_of(seen)
    assert told[DISK] is Verdict.NOT_TESTABLE
    assert told[EACH_BATCH] is Likeness.DOES_SO
    assert lesson.power_answer(seen) is None
    assert "flush.messages" in lesson.why_no_answer(seen)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a disk that fails takes root")


@needs_root
def test_the_kernel_forgets_what_it_could_not_write() -> None:
    seen = failed_fsync.fail_twice()
    if isinstance(seen, Unmeasured):
        pytest.skip(str(seen))
    assert seen.first != "done"
    assert (seen.second, seen.in_memory, seen.on_disk) == ("done", True, False)
    assert failed_fsync.failed_flush_answer(seen) == 3
    mounted = Path("/proc/self/mounts").read_text()
    assert "zerocopy-lab-disk" not in mounted


@needs_root
@pytest.mark.parametrize("sabotage", [False, True])
def test_a_broker_stops_when_its_disk_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sabotage: bool
) -> None:
    if sabotage:
        sabotaged(tmp_path, monkeypatch, GOES_ON)
    refused = failed_fsync.ask_a_broker("zerocopy_lab")
    if isinstance(refused, Unmeasured):
        pytest.skip(str(refused))
    verdict = failed_fsync.refusal_finding(refused, KAFKA).verdict
    if sabotage:  # nothing is refused, and much of what was acknowledged is on no disk
        assert refused.on_disk < refused.acknowledged
        assert verdict is not Verdict.SUPPORTED
    else:
        assert (refused.error, refused.tried_again, refused.read) == (56, 56, 56)
        assert refused.on_disk == refused.acknowledged
        assert verdict is Verdict.SUPPORTED


@pytest.mark.parametrize("kept", [False, True])
def test_the_followers_copy_has_what_the_leader_lost(
    lab_of: LabOf, tmp_path: Path, kept: bool
) -> None:
    lab = lab_of("11")
    if kept:
        lab.parts_dir.mkdir()
        source = "from zerocopy_lab.conformance.following import follower as ours\n\n\n"
        source += (
            "def follower(fetch, log, next_offset):\n    return ours(fetch, log, next_offset)\n"
        )
        (lab.parts_dir / "follower.py").write_text(source)
    with RunningBroker() as leader:
        copied = replicas.replicas(leader, tmp_path, lab)
    assert (copied.leader_end, copied.follower_end, copied.elected_serves) == (4501, 4001, 4001)
    assert copied.identical is True
    assert copied.leader_left == 0 or isinstance(copied.leader_left, Unmeasured)
    if not isinstance(copied.fed_by, Unmeasured):
        assert copied.fed_by.sendfile >= 1
    assert copied.whose == ("yours" if kept else "ours")
    assert all(durability_findings.invariants(copied, b"whole", b"who").values())
    assert not all(durability_findings.invariants(copied, b"whole", b"other").values())


# -- exercises -------------------------------------------------------------------------------------


def all_that_the_leader_has(
    events: list[tuple[str, int]], acks: str, min_in_sync: int, elected: int
) -> int:
    return sum(number for kind, number in events if kind == "write")


def forgets_the_refusal(
    events: list[tuple[str, int]], acks: str, min_in_sync: int, elected: int
) -> int:
    return lesson_lost(events, acks, 1, elected)


def lesson_lost(events: list[tuple[str, int]], acks: str, least: int, elected: int) -> int:
    from zerocopy_lab.lessons.lab11.durability_exercises import lost_by_message

    return lost_by_message(events, acks, least, elected)


def forgets_that_too_few_stop_the_waiting_ones(
    events: list[tuple[str, int]], acks: str, min_in_sync: int, elected: int
) -> int:
    """Refuses writes, and still acknowledges what waits when the last followers leave."""
    taken, in_sync = [], {1, 2}
    for kind, number in events:
        in_sync = in_sync - {number} if kind == "leave" else in_sync
        in_sync = in_sync | {number} if kind == "join" else in_sync
        if kind != "write" or acks == "1" or 1 + len(in_sync) >= min_in_sync:
            taken.append((kind, number))
    return lesson_lost(taken, acks, 1, elected)


def never_loses(events: list[tuple[str, int]], acks: str, min_in_sync: int, elected: int) -> int:
    return 0


def as_with_acks_1(events: list[tuple[str, int]], acks: str, min_in_sync: int, elected: int) -> int:
    return lesson_lost(events, "1", 1, elected)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (7, "The answer is a function"),
        (lambda *_: "many", "a whole number"),
        (all_that_the_leader_has, "acknowledged"),
        (as_with_acks_1, "acknowledged messages are lost, yours says"),
        (forgets_the_refusal, "in sync, a write is refused"),
        (forgets_that_too_few_stop_the_waiting_ones, "still waits is not acknowledged"),
        (never_loses, "is acknowledged"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(lab_of: LabOf, answer: object, hint: str) -> None:
    grade, _ = grade_of(exercise_of("11.3"), answer, lab_of("11"))
    assert grade.state is State.FAILED
    assert hint in grade.words


def test_a_stub_counts_as_not_attempted(lab_of: LabOf) -> None:
    for exercise_id in ("11.1", "11.2", "11.3"):
        grade, _ = grade_of(exercise_of(exercise_id), lambda *_: None, lab_of("11"))
        assert grade.state is State.NOT_ATTEMPTED


def test_too_few_in_sync_acknowledge_nothing_as_in_kafka() -> None:
    waits = [("write", 6), ("leave", 1), ("leave", 2)]
    assert lesson_lost(waits, "all", 2, 1) == 0  # NOT_ENOUGH_REPLICAS_AFTER_APPEND
    assert lesson_lost(waits, "all", 1, 1) == 6
    assert lesson_lost([*waits, ("fetch", 1), ("join", 1)], "all", 2, 2) == 6  # it waited


@pytest.mark.parametrize("seed", range(20))
def test_something_is_lost_in_the_life_that_is_printed(lab_of: LabOf, seed: int) -> None:
    assert lesson_lost(*lesson.a_life(lab_of("11", seed)))


# -- a log to break --------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [lesson.CUT, lesson.FLIP, lesson.ZEROS])
def test_every_byte_of_the_log_can_be_broken(lab_of: LabOf, damage: str) -> None:
    log = lesson.LogToBreak(lab_of("11"))
    told = [log.words(damage, position) for position in range(log.bytes)]
    assert all("bytes are good" in words or "nothing changed" in words for words in told)
    unnoticed = [position for position, words in enumerate(told) if "Nobody notices" in words]
    assert bool(unnoticed) is (damage == lesson.FLIP)
    assert {12, 13, 14, 15} <= set(unnoticed) or damage != lesson.FLIP
