"""Lab 14: every claim of the article, this machine's evidence, and other machines'.

What a claim is worth, and the page, are in the room `verdict`; here is what the notebook shows of
them, in pictures and words.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from zerocopy_lab.classroom.claims import claims
from zerocopy_lab.classroom.evidence_file import evidence_path
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.manifest import lab_entry
from zerocopy_lab.classroom.notebook_output import box, show_html
from zerocopy_lab.classroom.prediction import Seen
from zerocopy_lab.classroom.subject import SubjectKind
from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.lessons.lab14.the_verdict_exercises import my_class
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.pictures.verdict_grid import GridRow, verdict_grid
from zerocopy_lab.verdict.answer import in_a_row
from zerocopy_lab.verdict.judgement import Overall
from zerocopy_lab.verdict.machines import MACHINES_DIR, Difference, stand_in
from zerocopy_lab.verdict.page import piece, write_page
from zerocopy_lab.verdict.report import Report, report_on

__all__ = ["CLAIMS", "my_class"]

CLAIMS = tuple(claims())

BEFORE = "Before the labs I thought"
_LEAST = (19, 13, 8)
"""Claims that are right: the least of each choice but the last."""


def evidence_of(lab: Lab, lab_id: str) -> Path:
    """The evidence file of a lab: of its run here, else of a recorded machine."""
    entry = lab_entry(lab_id)
    here = evidence_path(lab.out_root, entry)
    if here.is_file():
        print(f"lab {lab_id} as it was run here")
        return here
    recorded = stand_in()
    if recorded is None:
        raise FileNotFoundError(f"lab {lab_id} was not run here, and no machine is recorded")
    print(f"RECORDED: lab {lab_id} was not run here; this is the machine {recorded.name!r}")
    return MACHINES_DIR / recorded.name / here.name


def all_evidence(lab: Lab, class_folder: str = "") -> Report:
    """What was found here, what was recorded, and what lies in the folder of a class."""
    return report_on(lab.out_root, class_dir=Path(class_folder) if class_folder else None)


# -- the article -----------------------------------------------------------------------------------


def verdicts_picture(report: Report) -> Picture:
    """A square for each part of each claim."""
    rows = [
        GridRow(
            judged.claim.id,
            [str(part.verdict) for part in judged.parts],
            str(judged.overall),
            [part.part or "the claim" for part in judged.parts],
        )
        for judged in report.verdicts
    ]
    recorded = not report.chapters_here
    host = report.stand_in.name if recorded and report.stand_in else describe_host().text()
    origin = Origin("as each part says", host, recorded)
    return verdict_grid(rows, origin=origin, title="Each claim, part by part")


def verdicts_words(report: Report) -> str:
    """How many are what, and which."""
    told = [
        f"{overall}: {' '.join(judged.claim.id for judged in verdicts)}"
        for overall, verdicts in report.groups
    ]
    not_run = ""
    if report.stood_in_for:
        not_run = f" Recorded elsewhere, not concluded here: labs {', '.join(report.stood_in_for)}."
    return f"A square is a part of a claim. {'; '.join(told)}.{not_run}"


def show_verdicts(report: Report) -> None:
    """The page's beginning: the answer, and claim by claim what was right; each opens."""
    plain = [*report.answer] + [
        f"{judged.claim.id} {judged.overall}: {judged.claim.says}" for judged in report.verdicts
    ]
    show_html(piece(report, "top") + piece(report, "claims"), "\n".join(plain))


def right_answer(report: Report) -> int:
    """The number of the notebook's choice: how many claims are right as they stand."""
    right = Counter(judged.overall for judged in report.verdicts)[Overall.RIGHT]
    return next((at for at, least in enumerate(_LEAST, 1) if right >= least), len(_LEAST) + 1)


# -- the learner -----------------------------------------------------------------------------------


def in_my_words(lab: Lab, before: str, now: str) -> None:
    """What somebody thought before the labs and thinks now; it goes onto their page."""
    if before or now:
        lab.record_prediction(BEFORE, before, now, str(Seen.OWN_WORDS))
        box("good", "Noted for your page", [f"{BEFORE}: {before}", f"Now: {now}"])


def show_learner(report: Report) -> None:
    """Guesses beside what came out."""
    plain = [f"{told.question} {told.guess} / {told.measured}" for told in report.chosen]
    show_html(piece(report, "learner"), "\n".join([report.guesses_in_words, *plain]))


# -- other machines --------------------------------------------------------------------------------


def machines_picture(report: Report) -> Picture:
    """Claims and machines."""
    rows = [GridRow(row[0].claim.id, [str(each.overall) for each in row]) for row in report.matrix]
    return verdict_grid(
        rows,
        columns=_names(report),
        origin=_many_origins(report),
        title="Each claim, machine by machine",
    )


def machines_words(report: Report) -> str:
    """Who they are, and what differs."""
    facts = [f"{each.name}: {', '.join(report.facts_of_its_own(each))}" for each in report.machines]
    if report.facts_in_common:
        facts.append(f"All of them: {', '.join(report.facts_in_common)}")
    opposite = [each for each in report.differences if each.is_opposite]
    differing = in_a_row([f"{each.claim_id} ({each.part})" for each in opposite])
    depends = f"Depends on the machine: {differing}." if opposite else "No verdict is turned round."
    return f"Each machine judged by its own evidence. {depends} {'. '.join(facts)}."


def show_machines(report: Report) -> None:
    """Who they are, what depends on the machine, and which entries were left out."""
    plain = [_in_words(each) for each in report.differences]
    plain += [f"left out: {each.name}: {each.reason}" for each in report.refused]
    show_html(piece(report, "others") + piece(report, "what_differs"), "\n".join(plain))


def _in_words(each: Difference) -> str:
    sides = [f"{verdict} on {in_a_row(names)}" for verdict, names in each.sides.items()]
    return f"{each.claim_id} ({each.part}): {'; '.join(sides)}"


def depends_answer(report: Report) -> int:
    """The number of the notebook's choice: none, one to three, more."""
    opposite = [each for each in report.differences if each.is_opposite]
    return 1 if not opposite else 2 if len(opposite) <= 3 else 3


class ClaimByClaim:
    """One claim, part by part, on every machine: for the widget."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def draw(self, claim: str) -> Picture:
        """Parts and machines; only what was tested on each machine itself."""
        rows = [
            GridRow(part or "the claim", [str(seen.get((claim, part), "")) for seen in self._seen])
            for part in self._parts(claim)
        ]
        origin = _many_origins(self._report)
        return verdict_grid(
            rows, columns=_names(self._report), origin=origin, title=f"{claim}, part by part"
        )

    def words(self, claim: str) -> str:
        """The claim, and what each machine says."""
        said = claims()[claim].says
        if not self._parts(claim):
            return f"{said} No machine could test it itself: what is known was recorded or cited."
        told = [
            f"{name}: {sum(key[0] == claim for key in seen)} parts tested"
            for name, seen in zip(_names(self._report), self._seen, strict=True)
        ]
        return f"{said} {'; '.join(told)}. An empty square: not tested on that machine itself."

    @property
    def _seen(self) -> list[dict[tuple[str, str], str]]:
        return [
            {key: str(verdict) for key, verdict in machine.seen_there.items()}
            for machine in self._report.machines
        ]

    def _parts(self, claim: str) -> list[str]:
        return list(dict.fromkeys(key[1] for seen in self._seen for key in seen if key[0] == claim))


def _names(report: Report) -> list[str]:
    return [machine.name for machine in report.machines]


def _many_origins(report: Report) -> Origin:
    recorded = all(machine.is_recorded for machine in report.machines)
    return Origin("as each part says", "the machine under each column", recorded)


# -- the page, and the conclusion ------------------------------------------------------------------


def export(report: Report) -> None:
    """Writes the page and says where."""
    path = write_page(report)
    box("good", "Your page", [f"{path}", "One file: open it in a browser, print it, mail it."])


def invariants(report: Report) -> dict[str, bool]:
    """What has to hold whatever was found."""
    speaking = [
        (judged.claim, each.finding)
        for judged in report.verdicts
        for part in judged.parts
        for each in part.speaking
    ]
    circular = [
        found
        for claim, found in speaking
        if claim.is_about_kafka and found.about.kind is SubjectKind.THIS_BROKER and found.tag
    ]
    shown = [
        each
        for judged in report.verdicts
        for part in judged.parts
        for each in (*part.speaking, *part.beside)
    ]
    return {
        "what Kafka does is nowhere judged by this kit's own broker": not circular,
        "whatever was found stands with its claim": len(shown) == len(report.found) > 0,
        "every claim was judged": [each.claim.id for each in report.verdicts] == list(claims()),
    }
