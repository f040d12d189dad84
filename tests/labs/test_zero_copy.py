"""Lab 05 concludes what is so: references, copies, a full socket, a cold file."""

from __future__ import annotations

from pathlib import Path

import pytest

from zerocopy_lab.classroom.cited import cited_beside
from zerocopy_lab.classroom.evidence import Evidence, Likeness, Verdict
from zerocopy_lab.classroom.manifest import lab_entry
from zerocopy_lab.classroom.subject import THIS_BROKER, kafka_here
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab05 import one_call, zero_copy
from zerocopy_lab.lessons.lab05.one_call import Sleeps, SlowConsumer
from zerocopy_lab.publishing.headless import run_lab
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.running_broker import RunningBroker

NOT_COUNTED = Unmeasured("there is no perf.")


def proof_over_some_events(data_dir: Path) -> zero_copy.Proof:
    with RunningBroker(data_dir) as broker:
        flight_events.produce(broker.bootstrap, zero_copy.TOPIC, flight_events.repeated(2000))
    return zero_copy.prove(data_dir)


def test_an_honest_broker_holds_references_and_the_control_copies(tmp_path: Path) -> None:
    proof = proof_over_some_events(tmp_path)
    assert zero_copy.copy_finding(proof).verdict is Verdict.SUPPORTED
    assert zero_copy.alias_answer(proof) == 2
    assert proof.verdicts["read_then_send"].verdict == "copied"
    assert "nobody copied" in zero_copy.proof_words(proof)


@pytest.mark.usefixtures("brokers_that_copy")
def test_a_broker_that_copies_is_found_out(tmp_path: Path) -> None:
    proof = proof_over_some_events(tmp_path / "data")
    assert zero_copy.copy_finding(proof).verdict is Verdict.CONTRADICTED
    assert zero_copy.alias_answer(proof) == 1
    assert "nobody copied" not in zero_copy.proof_words(proof)


@pytest.mark.usefixtures("brokers_that_copy_later")
def test_a_broker_that_copies_all_but_the_beginning_is_found_out(tmp_path: Path) -> None:
    proof = proof_over_some_events(tmp_path / "data")
    assert zero_copy.copy_finding(proof).verdict is not Verdict.SUPPORTED
    assert {"old", "new"} <= set(proof.verdicts["sendfile"].pages)
    assert zero_copy.alias_answer(proof) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("brokers_that_copy")
def test_the_whole_lab_says_that_the_broker_copies(tmp_path: Path) -> None:
    run = run_lab(lab_entry("05"), tmp_path / "out", fast=True, seed=1)
    assert run.problems == ()
    of_the_sender = [
        each for each in run.evidence["conclusion"]["findings"] if each["part"] == "the sender"
    ]
    [found] = [each for each in of_the_sender if not each["tag"].startswith("RECORDED")]
    assert (found["claim_id"], found["verdict"]) == ("Z2", "contradicted")
    assert "nobody copied" not in found["words"]


@pytest.mark.parametrize(
    ("cold", "warm", "verdict"),
    [
        ((1, 2, 1), (0, 0, 0), Verdict.CONTRADICTED),
        ((0, 0, 0), (0, 0, 0), Verdict.SUPPORTED),
        ((1, 0, 1), (0, 0, 0), Verdict.INCONCLUSIVE),
        ((1, 1, 1), (0, 1, 0), Verdict.INCONCLUSIVE),
    ],
)
def test_the_verdict_on_the_disk_follows_the_counts(
    cold: tuple[int, ...], warm: tuple[int, ...], verdict: Verdict
) -> None:
    assert one_call.disk_finding(Sleeps(cold, warm)).verdict is verdict


def test_a_disk_that_cannot_be_tested_says_why() -> None:
    found = one_call.disk_finding(Unmeasured("it is on tmpfs"))
    assert found.verdict is Verdict.NOT_TESTABLE
    assert "it is on tmpfs Recorded on " in found.words


@pytest.mark.parametrize(
    ("served", "ours", "kafkas"),
    [
        (16, Likeness.DOES_SO, Verdict.SUPPORTED),
        (15, Likeness.DOES_OTHERWISE, Verdict.CONTRADICTED),
    ],
)
def test_a_full_socket_blocks_nobody_only_if_all_others_are_served(
    served: int, ours: Likeness, kafkas: Verdict
) -> None:
    slow = SlowConsumer(16 << 20, served, 16)
    assert one_call.socket_finding(slow, THIS_BROKER).verdict is ours
    assert one_call.socket_finding(slow, kafka_here("4.2.0")).verdict is kafkas


def test_one_call_is_limited_and_a_full_socket_ends_it_sooner(tmp_path: Path) -> None:
    most_bytes = one_call.most_in_one_call()
    first_bytes = one_call.first_call_into_a_socket(one_call.a_file(tmp_path))
    found = one_call.limit_finding(most_bytes, first_bytes, NOT_COUNTED)
    assert most_bytes == 0x7FFF_F000
    assert 0 < first_bytes < 16 << 20
    assert found.verdict is Verdict.SUPPORTED
    assert one_call.limit_finding(3 << 30, first_bytes, NOT_COUNTED).verdict is Verdict.CONTRADICTED


def test_counts_are_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    tables: list[list[list[str]]] = []
    monkeypatch.setattr(one_call, "show_table", lambda _, rows: tables.append(rows))
    sleeps = Sleeps((2, 1), (0, 0))
    assert one_call.sleeps_in_words(sleeps).startswith("2, 1 times with the file out of memory")
    one_call.show_counts(2147479552, 4096, sleeps, {"sendfile": 1.0, "sendto": 2.5})
    [rows] = tables
    assert rows[-1][1] == "sendfile 1, sendto 2.5"
    assert not any("(" in cell and "=" in cell for row in rows for cell in row), "no repr"


def test_calls_that_could_not_be_counted_are_shown_as_recorded() -> None:
    words = one_call.calls_in_words(Unmeasured("there is no perf."))
    assert words.startswith("not counted here: there is no perf. Recorded on ")
    assert "sendfile 1" in words


def test_what_kafka_does_is_never_judged_by_our_own_broker() -> None:
    [ours] = one_call.calls_findings({"sendfile": 1.0}, THIS_BROKER)
    [kafkas] = one_call.calls_findings({"preadv": 1.0}, kafka_here("4.2.0"))
    assert (ours.verdict, ours.evidence) == (Likeness.DOES_SO, Evidence.COUNTED)
    assert kafkas.verdict is Verdict.CONTRADICTED
    cited = [each.part for each in cited_beside("05") if each.claim_id == "Z3"]
    assert cited == ["Linux", "Windows"]
