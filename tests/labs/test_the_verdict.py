"""Lab 14 with nothing run here: what was recorded speaks, and says so; what is drawn is fair."""

from __future__ import annotations

import random
from collections.abc import Callable

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.lessons.lab14 import the_verdict
from zerocopy_lab.lessons.lab14 import the_verdict_exercises as exercises
from zerocopy_lab.lessons.lab14.made_up_evidence import made_up_claim, made_up_text
from zerocopy_lab.verdict.judgement import Overall

LabOf = Callable[..., Lab]


def test_every_judgement_and_every_kind_of_file_is_drawn() -> None:
    draw = random.Random(14)
    judgements = {exercises.right_judgement(made_up_claim(draw)) for _ in range(500)}
    assert judgements == set(Overall)
    readings = {made_up_text(draw)[1] for _ in range(500)}
    assert readings == {"as written", "changed", "outdated", "no evidence"}


def test_of_every_class_three_parts_depend_on_the_machine_each_for_a_reason_of_its_own(
    lab_of: LabOf,
) -> None:
    for seed in range(1_000):
        right = exercises.right_reasons(lab_of("14", seed))
        assert len(right) == len(set(right.values())) == 3


def test_with_nothing_run_here_the_recorded_machine_speaks_and_is_named(lab_of: LabOf) -> None:
    report = the_verdict.all_evidence(lab_of("14"))
    assert [each.entry.id for each in report.chapters_here] == []
    assert all(machine.is_recorded for machine in report.machines)
    assert "Recorded elsewhere, not concluded here: labs 01, 02" in the_verdict.verdicts_words(
        report
    )
    assert report.answer[2].startswith("None of these judgements rest on what was seen on this")
    assert Overall.OPEN not in {e.overall for e in report.verdicts if e.claim.id in ("Z2", "W2")}
    picture = the_verdict.verdicts_picture(report)
    assert any("RECORDED EARLIER" in text.get_text() for text in picture.texts)
    assert all(the_verdict.invariants(report).values())
