"""Lab 14: its exercises against a second oracle; what it shows with nothing but recorded runs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from tests.labs.test_exercises import solution_of
from zerocopy_lab.classroom.evidence import Evidence, Quantity, Verdict, finding
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.subject import KERNEL_HERE, cited, recorded_on
from zerocopy_lab.lessons.lab14 import the_verdict
from zerocopy_lab.lessons.lab14 import the_verdict_exercises as exercises
from zerocopy_lab.verdict.judgement import LabFinding, Overall, judge

LabOf = Callable[..., Lab]
ABOUT = {"seen here": KERNEL_HERE, "recorded": recorded_on("a run"), "cited": cited("a source")}
CASES = 10_000


def judged_by_the_package(found: list[tuple[str, str, str]]) -> str:
    """By the code that judges the article's claims."""
    told = [
        finding(
            "Z2",
            Verdict(verdict),
            Evidence.CITED if basis == "cited" else Evidence.COUNTED,
            "So it was.",
            Quantity("counted", 1),
            source="a source",
            part=part,
            about=ABOUT[basis],
        )
        for part, basis, verdict in found
    ]
    of_all = judge([LabFinding("05", each) for each in told])
    return str(next(each.overall for each in of_all if each.claim.id == "Z2"))


def test_the_rule_of_the_exercise_is_the_rule_of_the_verdict() -> None:
    draw = random.Random(14)
    for _ in range(CASES):
        found = exercises.made_up_claim(draw)
        assert exercises.right_judgement(found) == judged_by_the_package(found), found


def test_a_reader_that_follows_the_words_is_right_about_every_file() -> None:
    """The stored solution, and not only for the seeds that are drawn elsewhere."""
    answers: list[Callable[[str], str]] = []
    exec(
        solution_of("14.2"),
        {"json": json, "hashlib": __import__("hashlib"), "check": lambda _, a: answers.append(a)},
    )
    draw = random.Random(14)
    said = set()
    for _ in range(CASES):
        text, right = exercises.made_up_text(draw)
        assert answers[0](text) == right, text
        said.add(right)
    assert said == {"as written", "changed", "outdated", "no evidence"}


def test_of_every_class_three_parts_depend_on_the_machine_each_for_one_reason(
    lab_of: LabOf,
) -> None:
    for seed in range(1_000):
        lab = lab_of("14", seed)
        right = exercises.right_reasons(lab)
        assert len(right) == len(set(right.values())) == 3
        made_up = exercises.made_up_class(lab)
        for part, fact in right.items():
            by_value: dict[str, set[str]] = {}
            for name, facts in made_up.machines.items():
                by_value.setdefault(facts[fact], set()).add(made_up.verdicts[part][name])
            assert sorted(map(sorted, by_value.values())) == [["contradicted"], ["supported"]]


def test_with_nothing_run_here_the_recorded_machine_speaks_and_is_named(lab_of: LabOf) -> None:
    report = the_verdict.all_evidence(lab_of("14"))
    assert [each.entry.id for each in report.chapters_here] == []
    assert all(machine.is_recorded for machine in report.machines)
    assert "Recorded elsewhere, not run here: labs 01, 02" in the_verdict.verdicts_words(report)
    assert report.answer[2].startswith("None of these judgements rest on what was seen on this")
    assert Overall.OPEN not in {e.overall for e in report.verdicts if e.claim.id in ("Z2", "W2")}
    picture = the_verdict.verdicts_picture(report)
    assert any("RECORDED EARLIER" in text.get_text() for text in picture.texts)
    assert all(the_verdict.invariants(report).values())
