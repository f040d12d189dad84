"""What labs found out on a real Apache Kafka, kept in data/kafka_runs/NN.json, one file a lab.

    python -m zerocopy_lab labs record --broker kafka 03      (`publishing.reference_run`)

Where no Kafka runs beside the learner, `conclude` adds what is kept here for its lab: the same
findings with the same figures, each marked RECORDED, with the version, the day and the machine. So
a claim about Kafka is never left to this kit's own broker. A lab does nothing for it but judge
what it asked by `about(broker)`.

A file holds `format`, `kafka` (the version), `host`, `day`, `settings`, and `findings` and
`figures` as in a conclusion. Findings pass the checks of `finding` again when they are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from zerocopy_lab.checkout import DATA_DIR
from zerocopy_lab.classroom.evidence import Finding, Quantity, Verdict
from zerocopy_lab.classroom.plain_finding import finding_of, quantity_of
from zerocopy_lab.classroom.subject import SubjectKind, recorded_on
from zerocopy_lab.instruments.host import describe_host

FORMAT: Final = "zerocopy_lab run on Apache Kafka 1"
DIRECTORY: Final = DATA_DIR / "kafka_runs"


class KafkaRun(NamedTuple):
    """Which Kafka, where and when, and what was found; findings know that they are recorded."""

    kafka: str
    host: str
    day: str
    findings: tuple[Finding, ...]
    figures: tuple[Quantity, ...]


def recorded_run(lab_id: str) -> KafkaRun | None:
    """The recorded run of this lab, or None.

    ValueError when the file is of another format, NoEvidence when a finding in it shows nothing.
    """
    path = DIRECTORY / f"{lab_id}.json"
    if not path.is_file():
        return None
    run = json.loads(path.read_text(encoding="utf-8"))
    if run.get("format") != FORMAT:
        raise ValueError(f"{path} is not of the format {FORMAT!r}")
    subject = recorded_on(f"{run['kafka']}, recorded on {run['day']}")
    where = f"A run of this lab on {run['kafka']}, recorded on {run['day']}: {run['host']}"
    findings = (
        finding_of({**each, "source": ". ".join(filter(None, (each["source"], where)))}, subject)
        for each in run["findings"]
    )
    figures = map(quantity_of, run.get("figures", []))
    return KafkaRun(run["kafka"], run["host"], run["day"], tuple(findings), tuple(figures))


def recorded_findings(lab_id: str) -> list[Finding]:
    """What was found on the recorded Kafka for this lab; nothing where none was recorded. Raises
    as `recorded_run` does.
    """
    run = recorded_run(lab_id)
    return list(run.findings) if run else []


def recorded_in_words(lab_id: str, claim_id: str, part: str) -> str:
    """What was found there about a part of a claim, marked as recorded; "" where nothing was."""
    told = (
        f"RECORDED. {each.about.words}: {each.words}"
        for each in recorded_findings(lab_id)
        if each.about and (each.claim_id, each.part) == (claim_id, part)
    )
    return next(told, "")


def recorded_beside(lab_id: str, findings: Iterable[Finding]) -> list[Finding]:
    """The recorded findings on what no Kafka was asked about live, claim by claim, part by part."""
    live = {
        (each.claim_id, each.part)
        for each in findings
        if each.about and each.about.kind is SubjectKind.KAFKA and each.shows_evidence
    }
    return [each for each in recorded_findings(lab_id) if (each.claim_id, each.part) not in live]


def keep_kafka_run(conclusion: Mapping[str, Any], version: str) -> Path:
    """Keeps what a lab's conclusion says of the Kafka that ran; its file.

    ValueError when it says nothing of one.
    """
    found = [each for each in conclusion["findings"] if _is_seen_on_kafka(each)]
    if not found:
        raise ValueError(f"lab {conclusion['lab']} found out nothing about the Kafka that ran")
    run = {
        "format": FORMAT,
        "kafka": f"Apache Kafka {version}",
        "host": describe_host().text(),
        "day": datetime.now(UTC).date().isoformat(),
        "settings": {"fast": conclusion["fast"], "seed": conclusion["seed"]},
        "findings": [{**each, "about": None} for each in found],
        "figures": conclusion["figures"],
    }
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    path = DIRECTORY / f"{conclusion['lab']}.json"
    path.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    return path


def _is_seen_on_kafka(found: Mapping[str, Any]) -> bool:
    subject = found["about"] or {}
    return (
        subject.get("kind") == SubjectKind.KAFKA and found["verdict"] != Verdict.NOT_TESTABLE.value
    )
