"""Lab 06 concludes what was counted, and says so where something could not be."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.labs.outcomes import outcome_of
from zerocopy_lab.classroom.conclusion import InvariantBroken, conclude
from zerocopy_lab.classroom.evidence import Finding, Likeness, Verdict
from zerocopy_lab.classroom.kafka_runs import recorded_findings
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.subject import KERNEL_HERE, THIS_BROKER, about, kafka_here
from zerocopy_lab.instruments.page_residency import PAGE_BYTES, PageMap
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured
from zerocopy_lab.lessons.lab06 import (
    late_reader,
    page_cache,
    page_cache_findings,
    small_memory,
)
from zerocopy_lab.lessons.lab06.page_cache import Free, Read, Sighting, Waiting, Written
from zerocopy_lab.pictures.memory_over_time import MemorySample
from zerocopy_lab.pictures.pages_over_time import Look
from zerocopy_lab.pictures.residency_map import PageCell
from zerocopy_lab.pictures.theme import RECORDED_EARLIER
from zerocopy_lab.running.broker_config import described
from zerocopy_lab.running.existing_cluster import ExistingCluster
from zerocopy_lab.running.flight_events import Traffic
from zerocopy_lab.running.running_broker import RunningBroker

LabOf = Callable[..., Lab]
MIB = 1 << 20
TRAFFIC = Traffic(1000, MIB, "abc")
WAITING = Waiting(MIB, MIB, MIB, (MemorySample(1.0, MIB, 0),), 1.0, 1.5)
SEEN = Sighting(Written(TRAFFIC, 0, WAITING), Read(TRAFFIC, 0), Read(TRAFFIC, MIB))
MISSING = Unmeasured("it is on tmpfs")
MARK = "Recorded on "
WAITING_PART = "a late reader makes the others wait: Apache Kafka"
KAFKA = kafka_here("4.2.0")
FREE = Free(32 * MIB, (32 * MIB,) * 5)


def verdicts(seen: Sighting) -> dict[tuple[str, str], Verdict | Likeness]:
    """As if a real Kafka had been looked at."""
    found = page_cache_findings.findings_about(seen, KAFKA)
    return {(each.claim_id, each.part): each.verdict for each in found}


def written(acknowledged_bytes: int, most_bytes: int) -> Written:
    waiting = WAITING._replace(acknowledged_bytes=acknowledged_bytes, most_bytes=most_bytes)
    return SEEN.written._replace(waiting=waiting)


def test_verdicts_when_everything_waits_in_memory() -> None:
    assert verdicts(SEEN) == {
        ("S6", "the producer"): Verdict.SUPPORTED,
        ("S6", "the broker"): Verdict.CONTRADICTED,
        ("P1", ""): Verdict.SUPPORTED,
        ("P2", ""): Verdict.SUPPORTED,
    }


def test_a_broker_that_syncs_every_append_contradicts_p1(lab_of: LabOf, tmp_path: Path) -> None:
    """The sabotage: what is acknowledged is on the disk, and the verdict says so."""
    settings = {"log.flush.interval.messages": "1"}
    with RunningBroker(tmp_path / "data", settings=settings) as broker:
        there = page_cache.write_and_watch(broker, lab_of("06"))
    found = verdicts(SEEN._replace(written=there))
    assert found["P1", ""] is Verdict.CONTRADICTED
    assert found["S6", "the broker"] is Verdict.SUPPORTED
    assert page_cache.ack_answer(there) == (1, ""), "all of it"


def test_a_kernel_that_was_quick_is_not_a_broker_that_syncs() -> None:
    quick = SEEN._replace(written=written(acknowledged_bytes=0, most_bytes=MIB))
    assert verdicts(quick)["P1", ""] is Verdict.SUPPORTED, "it waited in memory at some look"
    between = SEEN._replace(written=written(acknowledged_bytes=0, most_bytes=MIB // 3))
    assert verdicts(between)["P1", ""] is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("soon_bytes", "late", "verdict"),
    [
        (0, Read(TRAFFIC, MIB), Verdict.SUPPORTED),
        (30_000, Read(TRAFFIC, MIB), Verdict.INCONCLUSIVE),  # some pages went to others
        (MIB, Read(TRAFFIC, MIB), Verdict.CONTRADICTED),
        (0, MISSING, Verdict.INCONCLUSIVE),  # would the counter have seen a read?
        (0, Read(TRAFFIC, 0), Verdict.INCONCLUSIVE),
    ],
)
def test_the_reader_is_judged_by_device_bytes_and_by_whether_they_would_be_seen(
    soon_bytes: int, late: Read | Unmeasured, verdict: Verdict
) -> None:
    found = verdicts(Sighting(SEEN.written, Read(TRAFFIC, soon_bytes), late))
    assert found["P2", ""] is verdict


def test_our_own_broker_is_an_illustration_and_a_recorded_kafka_stands_beside_it() -> None:
    ours = page_cache_findings.findings_about(SEEN, THIS_BROKER)
    assert {each.verdict for each in ours} == {Likeness.DOES_SO, Likeness.DOES_OTHERWISE}
    recorded = {(each.claim_id, each.part): each.verdict for each in recorded_findings("06")}
    assert recorded.keys() == {*verdicts(SEEN), ("P2", WAITING_PART)}
    assert {key: recorded[key] for key in verdicts(SEEN)} == verdicts(SEEN)
    assert recorded["P2", WAITING_PART] is Verdict.SUPPORTED


@pytest.mark.parametrize(
    ("fell_mib", "verdict"),
    [
        ([32, 31, 33, 32, 32], Verdict.SUPPORTED),
        ([0, 0, 1, 0, 0], Verdict.CONTRADICTED),
        ([2, 31, 8, 60, 12], Verdict.INCONCLUSIVE),  # somebody else is busy
    ],
)
def test_free_is_judged_by_the_pages_of_the_file_itself(
    fell_mib: list[int], verdict: Verdict
) -> None:
    free = Free(32 * MIB, tuple(each * MIB for each in fell_mib))
    assert page_cache_findings.free_finding(free).verdict is verdict


def test_a_neighbours_files_are_no_evidence_for_free() -> None:
    nothing_was_there = Free(0, (64 * MIB,) * 5)
    assert page_cache_findings.free_finding(nothing_was_there).verdict is Verdict.INCONCLUSIVE


def test_what_cannot_be_counted_is_not_testable_and_shown_as_recorded(lab_of: LabOf) -> None:
    lab = lab_of("06")
    blind = Sighting(Written(TRAFFIC, MISSING, MISSING), Read(TRAFFIC, MISSING), MISSING)
    found = page_cache_findings.findings(blind, THIS_BROKER, MISSING, [])
    assert {each.verdict for each in found[:4]} == {Verdict.NOT_TESTABLE}
    answer, why = page_cache.ack_answer(blind.written)
    assert answer is None
    assert "tmpfs" in why
    assert page_cache.watch_picture(blind.written, lab).alt.startswith(RECORDED_EARLIER)
    for words in (page_cache.watch_words(blind.written), page_cache.readers_words(blind)):
        assert words.startswith("Not counted here: it is on tmpfs")
        assert MARK in words
    conclude(
        [*found, *late_reader.findings(MISSING, ExistingCluster("127.0.0.1:1"))],
        page_cache_findings.invariants(blind),
    )


def test_a_cluster_far_away_is_written_to_and_read_and_not_seen(
    lab_of: LabOf, tmp_path: Path
) -> None:
    with RunningBroker(tmp_path / "data") as broker:
        cluster = ExistingCluster(broker.bootstrap)
        there = page_cache.write_and_watch(cluster, lab_of("06"))
        seen = Sighting(
            there, page_cache.read_all(cluster, there), page_cache.read_late(cluster, there)
        )
    assert seen.soon.received == there.sent
    for missing in (there.waiting, seen.soon.device_bytes, seen.late):
        assert isinstance(missing, Unmeasured)
        assert "runs elsewhere" in str(missing)


def test_written_then_read_through_a_broker(lab_of: LabOf, tmp_path: Path) -> None:
    with RunningBroker(tmp_path / "data") as broker:
        there = page_cache.write_and_watch(broker, lab_of("06"))
        seen = Sighting(
            there, page_cache.read_all(broker, there), page_cache.read_late(broker, there)
        )
    assert all(page_cache_findings.invariants(seen).values())
    kept = json.loads(json.dumps(page_cache.plain(seen, "4.2.0")))
    assert kept["waiting"]["most_bytes"] > 0


def test_an_eviction_that_does_nothing_voids_the_lab(
    lab_of: LabOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cache, "evict_when_let_go", lambda path: None)
    lab = lab_of("06")
    with RunningBroker(tmp_path / "data") as broker:
        there = page_cache.write_and_watch(broker, lab)
        seen = Sighting(
            there, page_cache.read_all(broker, there), page_cache.read_late(broker, there)
        )
        others = late_reader.findings(MISSING, broker)
    found = page_cache_findings.findings(seen, THIS_BROKER, FREE, others)
    with pytest.raises(InvariantBroken, match="after an eviction the bytes came from the device"):
        conclude(found, page_cache_findings.invariants(seen))


# -- the late reader -------------------------------------------------------------------------------


def waits(device_ms: float, memory_ms: float = 2.0) -> dict[str, float]:
    alone = {
        f"{source}_alone_{unit}": 0.1 for source in ("memory", "device") for unit in ("s", "cpu_s")
    }
    return {"memory_wait_ms": memory_ms, "device_wait_ms": device_ms, **alone}


@pytest.mark.parametrize(
    ("device_ms", "verdict", "answer"),
    [
        ([110.0 + each for each in range(7)], Verdict.SUPPORTED, 3),
        ([5.0 + each / 10 for each in range(7)], Verdict.SUPPORTED, 2),
        ([2.0, 2.1, 1.9, 2.0, 2.1, 1.9, 2.0], Verdict.INCONCLUSIVE, 1),
        ([0.5, 9.0, 0.4, 8.0, 0.3, 7.0, 2.0], Verdict.INCONCLUSIVE, None),
    ],
)
def test_the_disturbance_follows_the_others_waits(
    device_ms: list[float], verdict: Verdict, answer: int | None
) -> None:
    rounds = [waits(each) for each in device_ms]
    outcome = outcome_of(dict.fromkeys(("sendfile", "read_then_send", "Apache Kafka"), rounds))
    cluster = ExistingCluster("127.0.0.1:9092")
    found = late_reader.findings(outcome, cluster)
    waiting = [each for each in found if each.claim_id == "P2"]
    assert [each.verdict for each in waiting] == [verdict] * 3
    assert [each.about for each in waiting[:2]] == [KERNEL_HERE] * 2
    assert waiting[2].about == about(cluster)
    told, why = late_reader.others_answer(outcome)
    assert (told, bool(why)) == (answer, answer is None)


@pytest.mark.parametrize("given", [(), ({},)], ids=["as Kafka does", "as it comes"])
def test_our_brokers_wait_for_the_device_as_kafka_does_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, lab_of: LabOf, given: tuple[dict[str, str], ...]
) -> None:
    """As they come they would not, and there would be nothing to see."""
    waits = []

    def seen(brokers: dict[str, RunningBroker], events: int, seed: int) -> Unmeasured:
        for broker in brokers.values():
            waits.append(described(broker.bootstrap)["cold.read.threads"] == "0")
        return MISSING

    monkeypatch.setattr(late_reader, "_measure_at", seen)
    late_reader.measure(ExistingCluster("127.0.0.1:9092"), lab_of("06"), *given)
    assert waits == [not given] * 2


def test_without_a_slow_device_the_recorded_run_is_shown_and_nothing_claimed_of_here() -> None:
    for picture in (late_reader.others_picture(MISSING), late_reader.kafka_picture(MISSING)):
        assert picture.alt.startswith(RECORDED_EARLIER)
    assert "it is on tmpfs" in late_reader.others_words(MISSING)
    assert MARK in late_reader.others_words(MISSING)
    assert MARK in late_reader.kafka_words(MISSING)
    assert late_reader.others_answer(MISSING)[0] is None
    found: list[Finding] = late_reader.findings(MISSING, ExistingCluster("127.0.0.1:9092"))
    told = {each.part.rpartition(": ")[2]: each.verdict for each in found}
    assert told["sendfile"] is told["read_then_send"] is Verdict.NOT_TESTABLE
    assert "Apache Kafka" not in told, "what is recorded of it is added by conclude"


def test_an_account_without_control_groups_measures_nothing(
    lab_of: LabOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_reader, "LimitedGroup", unavailable)
    outcome = late_reader.measure(ExistingCluster("127.0.0.1:9092"), lab_of("06"))
    assert isinstance(outcome, Unmeasured)
    assert "has it not" in str(outcome)


def unavailable(*_: object, **__: object) -> None:
    raise Unavailable("it", "this machine has it not", "Use another")


@pytest.mark.parametrize(
    ("memory", "device", "verdict"),
    [
        (2.0, 1.2, Verdict.SUPPORTED),
        (1.2, 2.0, Verdict.CONTRADICTED),
        (1.6, 1.6, Verdict.INCONCLUSIVE),
    ],
)
def test_the_gain_of_zero_copy_is_judged_apart_from_the_cache(
    memory: float, device: float, verdict: Verdict
) -> None:
    direct = {**waits(100.0), "memory_alone_cpu_s": 1.0, "device_alone_cpu_s": 1.0}
    copying = {**waits(100.0), "memory_alone_cpu_s": memory, "device_alone_cpu_s": device}
    outcome = outcome_of({"sendfile": [direct] * 7, "read_then_send": [copying] * 7})
    assert late_reader.gain_finding(outcome).verdict is verdict


# -- three in a small memory -----------------------------------------------------------------------


def test_three_in_a_small_memory_are_counted() -> None:
    """Who went to the device, and what was in memory. The log is clean when the story begins, so
    that the kernel gives up the oldest pages first, however busy the disk is: the newest are there,
    until those that the late reader brings in take their place.
    """
    with ExitStack() as stack:
        try:
            stage = stack.enter_context(small_memory.SmallMemory())
        except Unavailable as reason:
            pytest.skip(f"not testable on this kernel: {reason}")
        stage.write()
        stage.read("tail reader")
        stage.look()
        for _ in range(22):
            stage.read("late reader")
            stage.look()
    looks = stage.scene.looks
    newest = [small_memory._newest_in_memory(look) for look in looks]
    assert sum(cell.dirty for cell in looks[0].cells) == 0
    assert newest[1] > 7.5 * MIB
    assert min(newest) < 5 * MIB
    assert stage.scene.device_bytes["tail reader"] < MIB
    assert stage.scene.device_bytes["late reader"] > 18 * MIB
    for look in looks:
        assert all(place is None or 0 <= place <= (look.places[0] or 0) for place in look.places)
    kept = small_memory.Scene.of(json.loads(json.dumps(stage.scene.plain())))
    assert kept.words() == stage.scene.words()


def test_where_a_small_memory_is_not_allowed_the_recorded_scene_is_shown() -> None:
    picture, words = small_memory.or_recorded(unavailable)(None)  # type: ignore[arg-type]
    assert picture.alt.startswith(RECORDED_EARLIER)
    assert "has it not" in words
    assert MARK in words


def test_cells_sum_up_to_the_page_map() -> None:
    resident, dirty = bytes([1] * 150 + [0] * 50), bytes([1] * 10 + [0] * 190)
    pages = PageMap(PAGE_BYTES, 200 * PAGE_BYTES, resident, dirty, "cachestat")
    cells = small_memory.cells_of([pages], 16)
    totals = [sum(getattr(cell, name) for cell in cells) for name in PageCell._fields[:3]]
    assert totals == [200, 150, 10]


def test_a_scene_tells_the_worst_moment_beside_the_late_reader() -> None:
    scene = small_memory.Scene()
    full, empty = (PageCell(16, 16),) * 128, (PageCell(16, 0),) * 128
    scene.looks = [
        Look(0.0, full, (1, 1, None)),
        Look(1.0, empty, (1, 1, 0)),
        Look(2.0, full, (1, 1, 1)),
    ]
    assert "at least 8 MiB were in memory before" in scene.words()
    assert "worst moment beside it 0 B" in scene.words()


# -- a read and what it brings ---------------------------------------------------------------------


def test_advice_decides_what_comes_along(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(8 * MIB))
    ahead = page_cache.ReadAhead(path)
    assert ahead.picture(4, "random").png()
    assert ahead.words(4, "random") == "4 KiB were read, advice “random”: 4 KiB came into memory."
