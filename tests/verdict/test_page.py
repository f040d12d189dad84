"""The page: the answer, every claim, what was thought before, and nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.verdict.conftest import (
    CONTRADICTED,
    ON_A_KAFKA,
    SUPPORTED,
    Concluded,
    done_by_ours,
    found,
)
from zerocopy_lab.classroom.claims import claims
from zerocopy_lab.classroom.evidence import Likeness, Verdict
from zerocopy_lab.lessons.lab14 import the_verdict
from zerocopy_lab.measuring.host import host_facts
from zerocopy_lab.pictures.theme import new_picture
from zerocopy_lab.verdict.answer import first_sentence, in_a_row
from zerocopy_lab.verdict.chapter import RunNote
from zerocopy_lab.verdict.page import piece, write_page
from zerocopy_lab.verdict.report import report_on

FINDINGS = [
    found("Z2", SUPPORTED, "the sender"),
    found("Z2", CONTRADICTED, "a card", words="Somebody <copied>. The card cannot gather."),
    done_by_ours("Z3", Likeness.DOES_SO, "Linux"),
    found("Z3", SUPPORTED, "Linux", about=ON_A_KAFKA),
    found("Z4", SUPPORTED),
    found("Z5", Verdict.INCONCLUSIVE, "the socket", about=ON_A_KAFKA),
]
GUESSES = [("Which bytes?", "the old ones", "the new ones"), ("How often?", "twice", "twice")]

pytestmark = pytest.mark.usefixtures("no_recorded_machines")


def a_page(out_root: Path, **how: object) -> str:
    return write_page(report_on(out_root, **how)).read_text()  # type: ignore[arg-type]


def sorted_facts(out_root: Path) -> list[str]:
    return [value for _, value in sorted(host_facts(out_root).items())]


def text_of(markup: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", markup))


def test_the_answer_comes_first_and_is_computed(tmp_path: Path, concluded: Concluded) -> None:
    concluded(tmp_path, "05", FINDINGS)
    before = report_on(tmp_path).answer
    assert before == [
        "Whether that is the reason was not decided here.",
        f"Of its {len(claims())} claims 2 are right, 1 is half right and "
        f"{len(claims()) - 3} are open.",
        "2 of these judgements rest on what was seen on this machine and 1 on runs that were "
        "recorded on another.",
    ]
    why = found("C1", CONTRADICTED, "what makes the millions", words="It is batching. And so on.")
    concluded(tmp_path, "10", [found("C1", CONTRADICTED, "because of DMA"), why])
    assert report_on(tmp_path).answer[0] == "This machine disagrees. It is batching."
    top = text_of(a_page(tmp_path).partition("claim by claim")[0])
    assert "It is batching" in top
    assert "batching W2 ○ open" in top


def test_every_claim_stands_there_with_its_parts_subjects_and_figures(
    tmp_path: Path, concluded: Concluded
) -> None:
    lab = concluded(tmp_path, "05", FINDINGS)
    page = a_page(tmp_path, notes={"05": RunNote(12.34)})
    for claim in claims().values():
        assert page.count(f'id="claim-{claim.id}"') == 1
        assert claim.says.replace("'", "&#39;") in page
    told = text_of(page)
    for said in (
        "✗ not so, a card: Somebody &lt;copied&gt;.",
        "our broker does so COUNTED zerocopy_lab&#39;s own broker",
        "the kernel, Kafka ✓ supported RECORDED, COUNTED Apache Kafka 4.2.0",
        "counted: 1",
        "✓ order kept",
        "218 ns",
        "12.3 s",
        lab.entry.asks,
    ):
        assert said in told


def test_pictures_come_with_their_words(tmp_path: Path, concluded: Concluded) -> None:
    lab = concluded(tmp_path, "05", [])
    picture = new_picture(2, "Title", "")
    picture.alt = "two bars"
    lab.picture("shown", picture, "So it is.")
    concluded_again = {"findings": [], "invariants": {}, "figures": [], "began": "", "fast": True}
    lab.save(
        {**concluded_again, "seed": 1, "pictures": {k: dict(v) for k, v in lab.pictures.items()}}
    )
    page = a_page(tmp_path)
    assert 'alt="two bars"' in page
    assert "So it is." in page


def test_what_was_thought_before_stands_beside_what_came_out(
    tmp_path: Path, concluded: Concluded
) -> None:
    lab = concluded(tmp_path, "05", FINDINGS, guesses=GUESSES)
    concluded(tmp_path, "04", [], guesses=[("How many?", "four", "four"), ("Why?", "", "so")])
    the_verdict.in_my_words(lab, "it is <fast>", "it is batched")
    report = report_on(tmp_path)
    assert report.guesses_in_words == "2 of 3 guesses were right: all of them in lab 04."
    told = text_of(piece(report, "learner"))
    assert "Which bytes? the old ones the new ones measured here otherwise" in told
    assert "How often? twice twice measured here ✓ as I thought" in told
    assert "Before the labs I thought: it is &lt;fast&gt; Now: it is batched" in told
    assert "Why?" not in told
    assert [row[3] for row in report.progress if row[3]] == ["1 of 1", "1 of 2"]


def test_it_needs_nothing_from_elsewhere(tmp_path: Path, concluded: Concluded) -> None:
    concluded(tmp_path, "05", FINDINGS)
    page = a_page(tmp_path)
    links = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert links
    assert all(link.startswith(("data:", "#", "05_zero_copy/")) for link in links)
    assert "<script" not in page
    assert "url(" not in page


def test_what_went_wrong_is_shown_and_what_an_earlier_run_found_is_not(
    tmp_path: Path, concluded: Concluded
) -> None:
    concluded(tmp_path, "05", FINDINGS)
    note = RunNote(1.0, ("picture 'map' is missing",), None, has_concluded=False)
    page = a_page(tmp_path, notes={"05": note})
    assert "What went wrong" in page
    assert "picture &#39;map&#39; is missing" in page
    assert "Somebody &lt;copied&gt;" not in page


def test_a_void_run_counts_for_nothing_and_is_named(tmp_path: Path, concluded: Concluded) -> None:
    concluded(tmp_path, "05", FINDINGS, held=False)
    report = report_on(tmp_path)
    assert {each.overall for each in report.verdicts} == {"open"}
    assert "void, this did not hold: order kept" in text_of(a_page(tmp_path))


def test_a_class_is_a_column_each_and_who_is_left_out_is_named(
    tmp_path: Path, concluded: Concluded
) -> None:
    for name, verdict in (("ada", SUPPORTED), ("bob", CONTRADICTED)):
        concluded(tmp_path / "class" / name, "05", [found("Z4", verdict)])
    (tmp_path / "class" / "eve.json").write_text("{}")
    told = text_of(a_page(tmp_path, class_dir=tmp_path / "class"))
    assert "Z4 ✓ right ✗ wrong" in told
    assert "ada : 1 lab bob" in told
    assert f"In common: {', '.join(sorted_facts(tmp_path))}" in told
    assert "eve.json: its schema is not" in told
    assert "Z4 : ✓ supported ada; ✗ contradicted bob" in told


def test_sentences_end_where_they_end() -> None:
    assert first_sentence("It took 0.9 s. Then more.") == "It took 0.9 s."
    assert first_sentence("Apache Kafka 4.2 does") == "Apache Kafka 4.2 does"
    assert in_a_row(["one"]) == "one"
    assert in_a_row(["one", "two", "three"]) == "one, two and three"
