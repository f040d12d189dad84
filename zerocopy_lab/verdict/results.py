"""What one lab left on one machine: its evidence file, with the findings read back.

Evidence that comes from another machine says so: its findings are about what was RECORDED there,
and so can never pass for what was seen here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from zerocopy_lab.classroom.evidence import Finding, NoEvidence
from zerocopy_lab.classroom.evidence_file import (
    OWN_WORDS,
    BadEvidence,
    evidence_path,
    is_as_written,
    read_evidence,
)
from zerocopy_lab.classroom.manifest import labs
from zerocopy_lab.classroom.plain_finding import finding_of
from zerocopy_lab.classroom.subject import SubjectKind, recorded_on
from zerocopy_lab.verdict.judgement import LabFinding


class LabResult(NamedTuple):
    """A lab's evidence, and what it found; `written` is a moment in ISO 8601."""

    lab_id: str
    written: str
    host: Mapping[str, str]
    findings: tuple[LabFinding, ...]
    told: Mapping[str, Any]

    @property
    def conclusion(self) -> Mapping[str, Any]:
        """Empty where the lab did not get so far."""
        return self.told["conclusion"] or {}

    @property
    def broken(self) -> list[str]:
        """Invariants that did not hold: then its findings are void."""
        return [name for name, held in self.conclusion.get("invariants", {}).items() if not held]

    @property
    def predictions(self) -> Mapping[str, Mapping[str, str]]:
        """Question -> guess, measured, how."""
        found: Mapping[str, Mapping[str, str]] = self.told["predictions"]
        return found

    @property
    def questions(self) -> Mapping[str, Mapping[str, str]]:
        """Those that the lab asked."""
        return {q: told for q, told in self.predictions.items() if told["how"] != OWN_WORDS}

    @property
    def day(self) -> str:
        """When it was written."""
        return self.written[:10]

    def as_recorded(self) -> LabResult:
        """The same, as somebody sees it who was not there."""
        told = [each._replace(finding=self._recorded(each.finding)) for each in self.findings]
        return self._replace(findings=tuple(told))

    def _recorded(self, found: Finding) -> Finding:
        """Sources stay sources, recorded runs stay what they are, our broker is an illustration."""
        if found.about.kind in (SubjectKind.RECORDED, SubjectKind.CITED):
            return found
        if not found.tag or not LabFinding(self.lab_id, found).may_speak:
            return found
        where = f"{found.about.words}, on another machine, recorded on {self.day}"
        return found._replace(about=recorded_on(where))


class Refused(NamedTuple):
    """An entry that is not believed, and why."""

    name: str
    reason: str


def read_result(path: Path) -> LabResult:
    """The evidence in a file. Raises BadEvidence: no evidence, of another version, changed since
    it was written, or with a finding that shows nothing.
    """
    told = read_evidence(path.read_bytes())
    if not is_as_written(told):
        raise BadEvidence("it was changed after it was written: its digest is another")
    by_name = {entry.name: entry for entry in labs().values()}
    entry = by_name.get(told["lab"]) or labs().get(told["lab"])
    if entry is None:
        raise BadEvidence(f"there is no lab {told['lab']!r}")
    try:
        conclusion = told["conclusion"] or {}
        found = [LabFinding(entry.id, finding_of(each)) for each in conclusion.get("findings", ())]
    except (NoEvidence, KeyError, ValueError, TypeError) as error:
        raise BadEvidence(f"one of its findings is none: {error}") from None
    result = LabResult(entry.id, told["written"], told["host"], tuple(found), told)
    return result._replace(findings=()) if result.broken else result


def results_in(out_root: Path) -> tuple[dict[str, LabResult], list[Refused]]:
    """By lab, what was found in a directory of results, and what is not believed of it."""
    paths = [evidence_path(out_root, entry) for entry in labs().values()]
    return read_results(path for path in paths if path.is_file())


def read_results(paths: Iterable[Path]) -> tuple[dict[str, LabResult], list[Refused]]:
    """By lab, the newest of each that has concluded; and what is not believed."""
    results: dict[str, LabResult] = {}
    refused = []
    for path in paths:
        try:
            read = read_result(path)
        except (OSError, BadEvidence) as reason:
            refused.append(Refused(path.name, str(reason)))
            continue
        if read.broken:
            refused.append(Refused(path.name, f"void, this did not hold: {'; '.join(read.broken)}"))
        before = results.get(read.lab_id)
        if before is None or before.written < read.written:
            results[read.lab_id] = read
    return dict(sorted(results.items())), refused
