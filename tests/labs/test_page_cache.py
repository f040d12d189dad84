"""Lab 06 concludes what was counted, and notices an eviction that does nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.labs.outcomes import outcome_of
from zerocopy_lab.classroom.conclusion import InvariantBroken, conclude
from zerocopy_lab.classroom.evidence import Finding, Likeness, Verdict
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.instruments.page_residency import PAGE_BYTES, PageMap
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.lessons.lab06 import (
    late_reader,
    page_actions,
    page_cache,
    page_cache_findings,
    page_scene,
    page_story,
)
from zerocopy_lab.lessons.lab06.page_cache import Read, Written
from zerocopy_lab.pictures.memory_over_time import MemorySample
from zerocopy_lab.pictures.residency_map import PageCell
from zerocopy_lab.pictures.theme import RECORDED_EARLIER
from zerocopy_lab.running.flight_events import NotDelivered, Traffic
from zerocopy_lab.running.running_broker import RunningBroker

LabOf = Callable[..., Lab]
TRAFFIC = Traffic(1000, 1 << 20, "abc")
SAMPLES = (MemorySample(1.0, 1 << 20, 0),)
WRITTEN = Written(TRAFFIC, 1 << 20, 1 << 20, 0, 1 << 20, SAMPLES, 1.0, 1.5)
GAIN = late_reader.gain_finding("it is on tmpfs")
MARK = "Recorded on "


def verdicts(
    written: Written, tail: Read, late: Read | str
) -> dict[tuple[str, str], Verdict | Likeness]:
    found: list[Finding] = page_cache_findings.findings(written, tail, late, [GAIN])
    return {(each.claim_id, each.part): each.verdict for each in found}


def test_verdicts_when_everything_waits_in_memory() -> None:
    found = verdicts(WRITTEN, Read(TRAFFIC, 0), Read(TRAFFIC, 1 << 20))
    assert found == {
        ("S6", "the producer"): Verdict.SUPPORTED,
        ("S6", "the broker"): Verdict.CONTRADICTED,
        ("P1", ""): Verdict.SUPPORTED,
        ("P2", ""): Verdict.SUPPORTED,
        ("P3", "free shows it"): Verdict.SUPPORTED,
        ("P3", "the more of it, the bigger the gain"): Verdict.NOT_TESTABLE,
    }


def test_verdicts_when_it_is_otherwise() -> None:
    written = WRITTEN._replace(
        only_in_memory_bytes=0, producer_device_bytes=1 << 20, cached_growth_bytes=0
    )
    found = verdicts(written, Read(TRAFFIC, 1 << 20), "it is on tmpfs")
    assert found["S6", "the producer"] is Verdict.CONTRADICTED
    assert found["S6", "the broker"] is Verdict.INCONCLUSIVE
    assert found["P1", ""] is Verdict.INCONCLUSIVE
    assert found["P2", ""] is Verdict.CONTRADICTED
    assert found["P3", "free shows it"] is Verdict.INCONCLUSIVE
    unseen = verdicts(WRITTEN, Read(TRAFFIC, 0), "it is on tmpfs")
    assert unseen["P2", ""] is Verdict.INCONCLUSIVE, "would the counter have seen a read?"


@pytest.mark.parametrize(
    ("device_bytes", "verdict"),
    [
        (0, Verdict.SUPPORTED),
        (30_000, Verdict.INCONCLUSIVE),  # the kernel needed some pages for others
        (1 << 20, Verdict.CONTRADICTED),
    ],
)
def test_the_tail_reader_is_judged_by_its_device_bytes(device_bytes: int, verdict: Verdict) -> None:
    found = verdicts(WRITTEN, Read(TRAFFIC, device_bytes), Read(TRAFFIC, 1 << 20))
    assert found["P2", ""] is verdict


def test_where_there_is_no_disk_nothing_waits_for_it(
    lab_of: LabOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cache, "not_on_tmpfs", lambda path: lambda: "it is on tmpfs")
    lab = lab_of("06")
    with RunningBroker(tmp_path / "data") as broker:
        written = page_cache.write_and_watch(broker, lab)
    assert page_cache.ack_answer(written) is None
    assert page_cache.watch_words(written).startswith("Not counted here: it is on tmpfs. Recorded")
    assert page_cache.watch_picture(written, lab).alt.startswith(RECORDED_EARLIER)
    found = verdicts(written, Read(TRAFFIC, 0), "it is on tmpfs")
    assert found["S6", "the broker"] is found["P1", ""] is Verdict.NOT_TESTABLE


def test_what_cannot_be_counted_is_not_testable() -> None:
    written = WRITTEN._replace(only_in_memory_bytes=None, cached_growth_bytes=None)
    written = written._replace(producer_device_bytes=None)
    found = verdicts(written, Read(TRAFFIC, None), "it is on tmpfs")
    assert found["S6", "the producer"] is Verdict.NOT_TESTABLE
    assert found["P2", ""] is Verdict.NOT_TESTABLE
    assert found["P1", ""] is Verdict.NOT_TESTABLE
    assert found["P3", "free shows it"] is Verdict.NOT_TESTABLE


def test_written_then_read_through_a_broker(lab_of: LabOf, tmp_path: Path) -> None:
    lab = lab_of("06")
    with RunningBroker(tmp_path / "data") as broker:
        written = page_cache.write_and_watch(broker, lab)
        tail = page_cache.read_all(broker, written)
        late = page_cache.read_late(broker, written)
    assert tail.received == written.sent
    assert all(page_cache_findings.invariants(written, tail, late).values())
    assert (written.only_in_memory_bytes or 0) > 0
    assert max(sample.dirty_bytes for sample in written.samples) > 0


def unavailable(*_: object, **__: object) -> None:
    raise Unavailable("it", "this machine has it not", "Use another")


def test_without_any_instrument_the_lab_still_runs_and_shows_what_was_recorded(
    lab_of: LabOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("page_counts", "process_block_io", "evict_when_let_go"):
        monkeypatch.setattr(page_cache, name, unavailable)
    for module in (page_scene, page_actions):
        monkeypatch.setattr(module, "evict_when_let_go", unavailable)
        monkeypatch.setattr(module, "page_map", unavailable)
    lab = lab_of("06")
    with RunningBroker(tmp_path / "data") as broker:
        written = page_cache.write_and_watch(broker, lab)
        tail = page_cache.read_all(broker, written)
        late = page_cache.read_late(broker, written)
        scene = page_scene.play(broker, lab)
        by_hand = page_actions.ByHand(broker, written)
        assert by_hand.picture("evict everything").png()
        assert "has it not" in by_hand.words("evict everything")
    assert isinstance(late, str)
    assert isinstance(scene, str)
    assert page_cache.ack_answer(written) is None
    pictures = [page_cache.watch_picture(written, lab), page_story.story_picture(scene)]
    for picture in pictures:
        assert picture.alt.startswith(RECORDED_EARLIER)
        assert picture.get_suptitle().startswith(RECORDED_EARLIER)
    findings = page_cache_findings.findings(written, tail, late, [GAIN])
    told = [page_story.story_words(scene), *(found.words for found in findings[:4])]
    assert [MARK in words for words in told] == [True] * 5
    assert {found.verdict for found in findings[:4]} == {Verdict.NOT_TESTABLE}
    conclude(findings, page_cache_findings.invariants(written, tail, late))


def test_a_late_reader_that_cannot_be_measured_is_shown_as_recorded() -> None:
    picture = late_reader.others_picture("it is on tmpfs")
    assert picture.alt.startswith(RECORDED_EARLIER)
    assert "it is on tmpfs" in late_reader.others_words("it is on tmpfs")
    assert MARK in late_reader.others_words("it is on tmpfs")
    assert late_reader.others_answer("it is on tmpfs") is None
    assert GAIN.verdict is Verdict.NOT_TESTABLE
    assert MARK in GAIN.words


SHORT = page_scene.Script(2.0, 12_000, 2_000, 40_000, 0.2, 0.4, 0.05)


def test_three_at_one_log(lab_of: LabOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_scene, "FAST", SHORT)
    seen: list[int] = []
    with RunningBroker(tmp_path / "data") as broker:
        scene = page_scene.play(broker, lab_of("06"), lambda scene: seen.append(len(scene.looks)))
    assert isinstance(scene, page_scene.Scene)
    assert seen == sorted(seen)
    assert [moment.what for moment in scene.moments][:2] == [page_scene.EVICTED, page_scene.LATE]
    (evicted_s, _), (late_s, _) = scene.moments[:2]
    cell_bytes = page_scene.CELL_PAGES * PAGE_BYTES
    for look in scene.looks:
        end, tail, late = look.places
        assert end == sum(cell.pages for cell in look.cells) * PAGE_BYTES
        assert end is not None
        assert tail is not None
        assert 0 < tail <= end
        assert late is None or (look.at_s > late_s and late <= end)
        resident = [cell.resident == cell.pages for cell in look.cells]
        if look.at_s < evicted_s - 0.1:  # a look takes its time
            assert all(resident)
        elif evicted_s < look.at_s < late_s - 0.1:
            assert not any(resident[: scene.starts[2] // cell_bytes]), "two old segments"
        elif late is not None:
            assert all(resident[: late // cell_bytes]), "what was read is in memory again"
    words = page_story.story_words(scene)
    assert "old segments were put out of memory" in words
    assert MARK not in words
    kept = page_story.scene_from(json.loads(json.dumps(page_story.plain(scene))))
    assert page_story.story_words(kept) == words


def test_a_scene_ends_when_one_of_them_fails(
    lab_of: LabOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise NotDelivered("the late reader missed its train")

    monkeypatch.setattr(page_scene, "FAST", SHORT._replace(seconds=3600.0))
    monkeypatch.setattr(page_scene._Stage, "_catch_up", fails)
    with (
        RunningBroker(tmp_path / "data") as broker,
        pytest.raises(NotDelivered, match="missed its train"),
    ):
        page_scene.play(broker, lab_of("06"))


def test_an_eviction_that_does_nothing_voids_the_lab(
    lab_of: LabOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cache, "evict_when_let_go", lambda path: None)
    lab = lab_of("06")
    with RunningBroker(tmp_path / "data") as broker:
        written = page_cache.write_and_watch(broker, lab)
        tail = page_cache.read_all(broker, written)
        late = page_cache.read_late(broker, written)
    findings = page_cache_findings.findings(written, tail, late, [GAIN])
    with pytest.raises(InvariantBroken, match="after an eviction the bytes came from the device"):
        conclude(findings, page_cache_findings.invariants(written, tail, late))


def test_cells_sum_up_to_the_page_map() -> None:
    pages = PageMap(
        4096, 200 * 4096, bytes([1] * 150 + [0] * 50), bytes([1] * 10 + [0] * 190), "cachestat"
    )
    cells = page_actions.cells_of(pages)
    assert len(cells) <= page_actions.CELLS
    totals = [sum(getattr(cell, name) for cell in cells) for name in PageCell._fields[:3]]
    assert totals == [200, 150, 10]


@pytest.mark.parametrize(
    ("memory", "device", "verdict"),
    [
        ([(2.0, 1.0)] * 3, [(1.2, 1.0)] * 3, Verdict.SUPPORTED),
        ([(1.2, 1.0)] * 3, [(2.0, 1.0)] * 3, Verdict.CONTRADICTED),
        ([(1.2, 1.0), (2.0, 1.0), (1.5, 1.0)], [(1.6, 1.0)] * 3, Verdict.INCONCLUSIVE),
    ],
)
def test_the_gain_of_zero_copy_is_judged_apart_from_the_cache(
    memory: list[tuple[float, float]], device: list[tuple[float, float]], verdict: Verdict
) -> None:
    figures = {
        "read_then_send, memory": [{"broker_cpu_s": copying} for copying, _ in memory],
        "sendfile, memory": [{"broker_cpu_s": direct} for _, direct in memory],
        "read_then_send, device": [{"broker_cpu_s": copying} for copying, _ in device],
        "sendfile, device": [{"broker_cpu_s": direct} for _, direct in device],
    }
    assert late_reader.gain_finding(outcome_of(figures)).verdict is verdict


@pytest.mark.parametrize(
    ("device_ms", "answer"), [([9.0, 9.1, 9.2], 1), ([1.0, 1.1, 1.2], 0), ([2.0, 2.9, 2.4], 2)]
)
def test_the_answer_about_the_others_follows_their_waits(
    device_ms: list[float], answer: int
) -> None:
    figures = {
        "sendfile, memory": [{"beside_ms": each} for each in (2.2, 2.4, 2.3)],
        "sendfile, device": [{"beside_ms": each} for each in device_ms],
    }
    outcome = outcome_of(figures)
    assert late_reader.others_answer(outcome) == late_reader.OTHERS_CHOICES[answer]
