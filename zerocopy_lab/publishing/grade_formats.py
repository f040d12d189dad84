"""Grades in the forms that other programs read.

| format | what it is | made after |
|---|---|---|
| csv | a row for each student: points by lab, total, notes | ours |
| nbgrader | the columns of `nbgrader export` | nbgrader, plugins/export.py |
| canvas | Gradebook, Import; SIS Login ID finds students | Canvas, gradebook_importer.rb |
| moodle | Grades, Import, CSV; map Username, labs, feedback | Moodle, grade/import/csv |
| gradescope | results.json for each student | Gradescope, Autograder Specifications |
| classroom50 | result.json for each student and lab | Classroom 50, result-v1.schema.json |

Each gives files: name -> text. A student's id is taken for the login that the tool knows.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from zerocopy_lab.classroom.exercises import State
from zerocopy_lab.classroom.manifest import LabEntry
from zerocopy_lab.publishing.grading import GradedAnswer, StudentReport

Files = dict[str, str]
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def title_of(entry: LabEntry) -> str:
    """What a lab is called as an assignment: `05 Zero copy`."""
    return f"{entry.id} {entry.title}"


def _csv(rows: Iterable[Sequence[object]]) -> Files:
    """One file. A spreadsheet takes no cell of it for a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        cells = map(str, row)
        writer.writerow("'" + cell if cell.startswith(_FORMULA) else cell for cell in cells)
    return {"grades.csv": text.getvalue()}


def _plain(reports: Sequence[StudentReport]) -> Files:
    entries = reports[0].labs if reports else ()
    heading = ["student", *(title_of(entry) for entry in entries), "total", "of", "notes"]
    rows: list[list[object]] = [
        [
            report.student,
            *(report.points_in(entry) for entry in entries),
            report.points,
            report.of,
            "; ".join(report.notes),
        ]
        for report in reports
    ]
    return _csv([heading, *rows])


def _nbgrader(reports: Sequence[StudentReport]) -> Files:
    heading = (
        *("assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email"),
        *("raw_score", "late_submission_penalty", "score", "max_score"),
    )
    rows = []
    for entry in reports[0].labs if reports else ():
        for report in reports:
            score, most = float(report.points_in(entry)), float(sum(entry.points.values()))
            written = _instant(report, entry)
            when = written.strftime("%Y-%m-%d %H:%M:%S") if written else ""
            who = (report.student, "", "", "")
            rows.append((entry.name, "", when, *who, score, 0.0, score, most))
    return _csv([heading, *rows])


def _instant(report: StudentReport, entry: LabEntry) -> datetime | None:
    """When the evidence was written, if it says so in a way that can be read."""
    try:
        return datetime.fromisoformat(report.handed_in.get(entry.id, "")).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _canvas(reports: Sequence[StudentReport]) -> Files:
    entries = reports[0].labs if reports else ()
    columns = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    possible = [sum(entry.points.values()) for entry in entries]
    rows: list[list[object]] = [
        [report.student, "", "", report.student, "", *map(report.points_in, entries)]
        for report in reports
    ]
    return _csv(
        [
            [*columns, *map(title_of, entries)],
            ["    Points Possible", "", "", "", "", *possible],
            *rows,
        ]
    )


def _moodle(reports: Sequence[StudentReport]) -> Files:
    entries = reports[0].labs if reports else ()
    heading = ["Username"]
    for entry in entries:
        heading += [title_of(entry), f"{title_of(entry)} (feedback)"]
    rows = []
    for report in reports:
        row: list[object] = [report.student]
        for entry in entries:
            row += [report.points_in(entry), _feedback(report, entry)]
        rows.append(row)
    return _csv([heading, *rows])


def _feedback(report: StudentReport, entry: LabEntry) -> str:
    return "; ".join(f"{each}: {report.answers[each].state}" for each in entry.exercises)


def _gradescope(reports: Sequence[StudentReport]) -> Files:
    return {f"{report.student}.json": _indented(_results(report)) for report in reports}


def _results(report: StudentReport) -> dict[str, object]:
    return {
        "score": float(report.points),
        "output": "\n".join(report.notes),
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [
            {
                "number": exercise_id,
                "name": f"{title_of(entry)}, exercise {exercise_id}",
                "score": float(answer.points),
                "max_score": float(answer.of),
                "status": "passed" if answer.state == State.PASSED else "failed",
                "output": _said(answer),
            }
            for entry, exercise_id, answer in _all(report)
        ],
    }


def _classroom50(reports: Sequence[StudentReport]) -> Files:
    """In its runner the environment says which submission this is; elsewhere nobody does."""
    return {
        f"{report.student}/{entry.name}.json": _indented(_result(report, entry))
        for report in reports
        for entry in report.labs
    }


def _result(report: StudentReport, entry: LabEntry) -> dict[str, object]:
    instant = (_instant(report, entry) or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    told: Mapping[str, str] = os.environ
    commit = told.get("COMMIT_URL") or "unknown"
    return {
        "schema": "classroom50/result/v1",
        "classroom": told.get("CLASSROOM") or "zerocopy_lab",
        "assignment": told.get("ASSIGNMENT") or entry.name,
        "assignment_type": told.get("ASSIGNMENT_TYPE") or "individual",
        "owner": report.student,
        "submission": told.get("SUBMISSION_TAG") or f"submit/{instant.replace(':', '-')}",
        "commit": commit,
        "release": told.get("RELEASE_URL") or "unknown",
        "review": told.get("REVIEW_URL") or commit,
        "datetime": instant,
        "graded_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "score": report.points_in(entry),
        "max-score": sum(entry.points.values()),
        "tests": [
            {
                "test-name": exercise_id,
                "passed": answer.state == State.PASSED,
                "score": answer.points,
                "max-score": answer.of,
                "output": _said(answer),
            }
            for among, exercise_id, answer in _all(report)
            if among is entry
        ],
    }


def _all(report: StudentReport) -> Iterable[tuple[LabEntry, str, GradedAnswer]]:
    for entry in report.labs:
        for exercise_id in entry.exercises:
            yield entry, exercise_id, report.answers[exercise_id]


def _said(answer: GradedAnswer) -> str:
    return f"{answer.state}. {answer.words}" if answer.words else answer.state


def _indented(told: object) -> str:
    return json.dumps(told, indent=1) + "\n"


FORMATS: Mapping[str, Callable[[Sequence[StudentReport]], Files]] = {
    "csv": _plain,
    "nbgrader": _nbgrader,
    "canvas": _canvas,
    "moodle": _moodle,
    "gradescope": _gradescope,
    "classroom50": _classroom50,
}


def table_of(reports: Sequence[StudentReport]) -> str:
    """For a terminal: points by lab, and under it what a teacher should look at."""
    entries = reports[0].labs if reports else ()
    worth = [str(sum(entry.points.values())) for entry in entries]
    rows = [
        ["student", *(entry.id for entry in entries), "total"],
        ["of", *worth, str(sum(map(int, worth)))],
        *(
            [each.student, *(str(each.points_in(entry)) for entry in entries), str(each.points)]
            for each in reports
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *numbers in rows:
        told = (text.rjust(width) for text, width in zip(numbers, widths[1:], strict=True))
        lines.append("  ".join([first.ljust(widths[0]), *told]))
    noted = [f"{each.student}: {note}" for each in reports for note in each.notes]
    return _printable("\n".join([*lines, *(["", *noted] if noted else [])]))


def _printable(text: str) -> str:
    """What a submission says cannot move the cursor or change the colours of a terminal."""
    return "".join(
        each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in text
    )
