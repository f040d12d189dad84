"""All that the page says: the claims judged, the guesses, the machines, the labs.

A lab that has not run here is represented by the recorded machine's, marked RECORDED.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zerocopy_lab.classroom.evidence_file import (
    OWN_WORDS,
    PROGRESS_HEADINGS,
    evidence_of,
    progress_rows,
)
from zerocopy_lab.classroom.kept_parts import parts_in_words
from zerocopy_lab.classroom.manifest import labs
from zerocopy_lab.measuring.host import host_facts
from zerocopy_lab.verdict import answer as top
from zerocopy_lab.verdict.chapter import Chapter, RunNote
from zerocopy_lab.verdict.guesses import GuessTold, guesses_in, in_one_sentence
from zerocopy_lab.verdict.judgement import RULE, ClaimVerdict, LabFinding, Overall, judge
from zerocopy_lab.verdict.machines import (
    Difference,
    Machine,
    differences,
    machines_of_class,
    recorded_machines,
    stand_in,
)
from zerocopy_lab.verdict.results import Refused, results_in

THIS_MACHINE: Final = "this machine"


@dataclass(frozen=True)
class Report:
    """All that the page says. Made by `report_on`."""

    out_root: Path
    chapters: Sequence[Chapter]
    verdicts: Sequence[ClaimVerdict]
    guesses: Sequence[GuessTold]
    machines: Sequence[Machine]
    refused: Sequence[Refused]
    found: Sequence[LabFinding]
    """What the claims were judged by."""
    stand_in: Machine | None
    """Speaks for labs that have not run here."""

    question, claimed, rule = top.QUESTION, top.CLAIMED, RULE
    progress_headings = PROGRESS_HEADINGS

    @property
    def answer(self) -> list[str]:
        """The sentences at the top."""
        return top.answer(self.verdicts)

    @property
    def ingredients(self) -> list[top.Ingredient]:
        """What is left of each of the article's four reasons."""
        return top.ingredients(self.verdicts)

    @property
    def groups(self) -> list[tuple[Overall, list[ClaimVerdict]]]:
        """The claims by judgement."""
        found = [
            (overall, [judged for judged in self.verdicts if judged.overall is overall])
            for overall in Overall
        ]
        return [(overall, verdicts) for overall, verdicts in found if verdicts]

    @property
    def not_run(self) -> list[str]:
        """The labs with claims that have left nothing here."""
        here = [each.entry.id for each in self.chapters_here]
        return [e.id for e in labs().values() if e.claims and e.id not in here]

    @property
    def stood_in_for(self) -> list[str]:
        """Those of them that were recorded elsewhere."""
        recorded = self.stand_in.results if self.stand_in else {}
        return [lab_id for lab_id in self.not_run if lab_id in recorded]

    @property
    def chapters_here(self) -> list[Chapter]:
        """The labs with claims that have concluded on this machine."""
        return [each for each in self.chapters if each.entry.claims and each.conclusion]

    @property
    def host(self) -> dict[str, str]:
        """This machine."""
        return host_facts(self.out_root)

    @property
    def when(self) -> str:
        """The days on which labs were run here, in fast mode or in full."""
        found = [each.result for each in self.chapters if each.result and each.conclusion]
        if not found:
            return "none on this machine"
        days = sorted({result.day for result in found})
        modes = sorted({"fast" if result.conclusion["fast"] else "full" for result in found})
        span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        return f"{len(found)}, {span}, in {' and '.join(modes)} mode"

    @property
    def own_words(self) -> list[GuessTold]:
        """What the learner wrote."""
        return [told for told in self.guesses if told.how == OWN_WORDS]

    @property
    def chosen(self) -> list[GuessTold]:
        """What the learner guessed, of the choices that the labs gave."""
        return [told for told in self.guesses if told.how != OWN_WORDS]

    @property
    def guesses_in_words(self) -> str:
        """How many were right."""
        return in_one_sentence(self.chosen)

    @property
    def progress(self) -> list[list[str]]:
        """A row for each lab."""
        return progress_rows(self.out_root)

    @property
    def progress_in_words(self) -> str:
        """Exercises and points, over all labs."""
        told = [evidence_of(self.out_root, entry).get("exercises", {}) for entry in labs().values()]
        answers = [answer for lab in told for answer in lab.values()]
        passed = sum(answer["state"] == "passed" for answer in answers)
        points = sum(answer["points"] for answer in answers)
        number = sum(len(entry.exercises) for entry in labs().values())
        of = sum(sum(entry.points.values()) for entry in labs().values())
        return f"Exercises passed: {passed} of {number}; points: {points} of {of}."

    @property
    def parts_in_words(self) -> str:
        """What the learner has built."""
        return parts_in_words(self.out_root / "parts")

    @property
    def facts_in_common(self) -> list[str]:
        """Of all hosts, where there are several; in words."""
        if len(self.machines) < 2:
            return []
        return [value for _, value in sorted(self._common) if value]

    def facts_of_its_own(self, machine: Machine) -> list[str]:
        """What tells a host from the others; everything, where there are none."""
        common = self._common if len(self.machines) > 1 else set()
        return [value for name, value in machine.facts.items() if (name, value) not in common]

    @property
    def _common(self) -> set[tuple[str, str]]:
        return set.intersection(*(set(machine.facts.items()) for machine in self.machines))

    @property
    def matrix(self) -> list[tuple[ClaimVerdict, ...]]:
        """A row for each claim, in it the judgement of each machine."""
        return list(zip(*(machine.verdicts for machine in self.machines), strict=True))

    @property
    def differences(self) -> list[Difference]:
        """What is not the same on all machines."""
        return differences(self.machines)


def report_on(
    out_root: Path, notes: Mapping[str, RunNote] | None = None, class_dir: Path | None = None
) -> Report:
    """What was found in a directory of results, and on other machines: the recorded ones and those
    whose evidence lies in `class_dir`.
    """
    results, refused = results_in(out_root)
    results = {
        lab_id: result
        for lab_id, result in results.items()
        if notes is None or lab_id not in notes or notes[lab_id].has_concluded
    }
    others = list(recorded_machines())
    instead = stand_in()
    found = [each for result in results.values() for each in result.findings]
    for lab_id, result in (instead.results if instead else {}).items():
        if not results.get(lab_id) or not results[lab_id].conclusion:
            found += result.as_recorded().findings
    if class_dir is not None:
        of_class, more_refused = machines_of_class(class_dir)
        others += of_class
        refused += more_refused
    here = Machine(THIS_MACHINE, host_facts(out_root), results)
    return Report(
        out_root,
        [
            Chapter(
                entry, (notes or {}).get(entry.id), results.get(entry.id), out_root / entry.name
            )
            for entry in labs().values()
        ],
        judge(found),
        guesses_in(results),
        [*([here] if here.seen_there else []), *others],
        refused,
        found,
        instead,
    )
