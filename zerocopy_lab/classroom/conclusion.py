"""conclude(): what a lab found, as words in the notebook and in the evidence that a run leaves.

It becomes `conclusion` in the evidence file (`evidence_file`, docs/evidence.md), which the report,
the verdict lab and the tests read.

An invariant that does not hold fails the lab, after the file was written: a lab in which bytes
got lost has no say about speed. A lab without findings only calibrates, and says so in its words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zerocopy_lab.classroom.cited import cited_beside
from zerocopy_lab.classroom.claims import claim
from zerocopy_lab.classroom.evidence import (
    CircularEvidence,
    Evidence,
    Finding,
    Likeness,
    NoEvidence,
    Quantity,
    Verdict,
)
from zerocopy_lab.classroom.evidence_file import evidence_path
from zerocopy_lab.classroom.kafka_runs import recorded_beside
from zerocopy_lab.classroom.lab import Lab, running_lab
from zerocopy_lab.classroom.notebook_output import box, evidence_bundle
from zerocopy_lab.classroom.plain_finding import plain_finding, plain_quantity
from zerocopy_lab.classroom.prediction import until_all_guessed
from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.measuring.host import host_facts
from zerocopy_lab.running.running_broker import still_running

VERDICT_TONES = {
    Verdict.SUPPORTED: "good",
    Verdict.CONTRADICTED: "bad",
    Verdict.INCONCLUSIVE: "unsure",
    Verdict.NOT_TESTABLE: "plain",
    Likeness.DOES_SO: "plain",
    Likeness.DOES_OTHERWISE: "plain",
    Likeness.UNCLEAR: "plain",
}


class InvariantBroken(AssertionError):
    """Something that must hold on every machine did not; the lab's findings are void."""


def conclude(
    findings: Sequence[Finding],
    invariants: Mapping[str, bool],
    figures: Sequence[Quantity] = (),
    shown_already: Sequence[Quantity] = (),
) -> None:
    """Writes the running lab's conclusion down and shows it.

    `figures` are quantities that belong to no claim (a calibration); `shown_already` are others of
    the kind, which are written down and not shown again. A claim may have several findings, about
    different parts of it.

    Findings come from `Aspect` or `evidence.finding()`; what sources say and what was recorded on a
    Kafka is added here. Raises NoEvidence when there is nothing to show at
    all, ValueError when the findings are not about the claims that the list of labs promises,
    InvariantBroken when an invariant does not hold, CircularEvidence when a claim about Kafka has
    nothing but illustrations.
    """
    lab = running_lab()
    if not invariants:
        raise NoEvidence(f"lab {lab.entry.id} checks nothing: name at least one invariant")
    findings = [*findings, *cited_beside(lab.entry.id)]
    promised, concluded = set(lab.entry.claims), {found.claim_id for found in findings}
    if promised != concluded:
        raise ValueError(
            f"lab {lab.entry.id} promises {sorted(promised)} and concludes on {sorted(concluded)}"
        )
    findings += recorded_beside(lab.entry.id, findings)
    findings.sort(key=lambda found: lab.entry.claims.index(found.claim_id))  # recorded ones last
    _require_measured_times(findings)
    _require_kafka_where_kafka_is_meant(findings)
    concluded_on = conclusion_of(lab, findings, invariants, [*figures, *shown_already])
    lab.save(concluded_on)
    box(
        "plain",
        "Written down",
        [f"Evidence of this lab: {evidence_path(lab.out_root, lab.entry)}"],
        carries=evidence_bundle(lab.evidence(concluded_on)),
    )
    with until_all_guessed():
        for found in findings:
            _show(found)
        if figures:
            box("plain", "Measured here", [f"{each.name}: {each.in_words()}" for each in figures])
    broken = [name for name, holds in invariants.items() if not holds]
    if broken:
        raise InvariantBroken(f"lab {lab.entry.id} is void, this did not hold: {'; '.join(broken)}")
    box("plain", "Checked, whatever the machine's speed", invariants)
    if running := still_running():
        how = "They outlive the tab: end them with Kernel, Shut Down Kernel, or close() each."
        box("plain", "Brokers of this notebook that still run", [*running, how])


def _require_measured_times(findings: Sequence[Finding]) -> None:
    """No two runs take the same time to the last digit: a constant does, or a clock that stands."""
    for found in findings:
        spreads = [q.value for q in found.quantities if isinstance(q.value, Spread)]
        is_timed = found.evidence is Evidence.TIMED and spreads
        if is_timed and all(spread.low == spread.high for spread in spreads):
            raise NoEvidence(f"{found.claim_id}: times that never differ were not measured")


def _require_kafka_where_kafka_is_meant(findings: Sequence[Finding]) -> None:
    """Each claim about Kafka has a finding about a Kafka: live, recorded or cited."""
    for claim_id in dict.fromkeys(found.claim_id for found in findings):
        subjects = [found.about for found in findings if found.claim_id == claim_id]
        if not claim(claim_id).is_about_kafka or None in subjects:
            continue
        if not any(subject and subject.speaks_of_kafka for subject in subjects):
            raise CircularEvidence(f"{claim_id} is about Kafka, and nothing here speaks of a Kafka")


def conclusion_of(
    lab: Lab,
    findings: Sequence[Finding],
    invariants: Mapping[str, bool],
    figures: Sequence[Quantity],
) -> dict[str, Any]:
    """The conclusion as plain values, ready for JSON."""
    return {
        "lab": lab.entry.id,
        "title": lab.entry.title,
        "began": lab.began.isoformat(timespec="seconds"),
        "seconds": round(lab.seconds(), 1),
        "fast": lab.fast,
        "seed": lab.seed,
        "host": host_facts(lab.out_dir),
        "invariants": dict(invariants),
        "findings": [plain_finding(found) for found in findings],
        "figures": [plain_quantity(figure) for figure in figures],
        "broker": lab.broker,
        "pictures": {name: dict(told) for name, told in lab.pictures.items()},
    }


def _show(found: Finding) -> None:
    part = f" ({found.part})" if found.part else ""
    label = f"{found.claim_id}{part}: {found.verdict}"
    if found.tag:
        label += f" · {found.tag}"
    if found.about:
        label += f" · about {found.about.words}"
    figures = [f"{quantity.name}: {quantity.in_words()}" for quantity in found.quantities]
    source = [f"Source: {found.source}"] if found.source else []
    said = f"The claim: {claim(found.claim_id).says}"
    box(VERDICT_TONES[found.verdict], label, [said, found.words, *figures, *source])
