"""Grades as others read them: their importers' rules, in our words, over what we write.

Canvas and Moodle themselves are not run here. Their rules were read in their sources:
lib/gradebook_importer.rb, and grade/import/csv/classes/load_data.php with lib/csvlib.class.php.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Mapping

import pytest

from zerocopy_lab.classroom.manifest import labs
from zerocopy_lab.publishing.grade_formats import FORMATS, title_of
from zerocopy_lab.publishing.grading import GradedAnswer, StudentReport

ENTRIES = (labs()["02"], labs()["10"])
TITLES = [title_of(entry) for entry in ENTRIES]
WORTH = {title_of(entry): sum(entry.points.values()) for entry in ENTRIES}
STUDENTS = ("ada", "007", "o.neil+2@x-y.org")


def report_of(student: str, *passed: str) -> StudentReport:
    """Who answered these exercises, tried one, and no other."""
    answers = {}
    for entry in ENTRIES:
        for each, worth in entry.points.items():
            state = "passed" if each in passed else "not attempted"
            answers[each] = GradedAnswer(state, worth if state == "passed" else 0, worth)
    answers["10.3"] = answers["10.3"]._replace(
        state="failed", words='He said "12, no; 13"\nand left'
    )
    return StudentReport(student, ENTRIES, answers, ("a note; 1, 2",), {})


def reports() -> list[StudentReport]:
    return [
        report_of(student, *ENTRIES[0].exercises[:number])
        for number, student in enumerate(STUDENTS)
    ]


def points_of(report: StudentReport) -> dict[str, float]:
    return {title_of(entry): report.points_in(entry) for entry in ENTRIES}


def rows_of(text: str, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text), delimiter=delimiter))


def test_csv_has_a_row_for_each_student_and_no_formula() -> None:
    sly = report_of("ada")._replace(student="=cmd()")
    [text] = FORMATS["csv"]([*reports(), sly]).values()
    heading, *rows = rows_of(text)
    assert heading == ["student", *TITLES, "total", "of", "notes"]
    assert [row[0] for row in rows] == [*STUDENTS, "'=cmd()"]
    assert {row[-2] for row in rows} == {str(sum(WORTH.values()))}


# -- Canvas ----------------------------------------------------------------------------------------

NO_ASSIGNMENTS = re.compile(r"(Current|Final) (Score|Points|Grade)|Override (Score|Grade|Status)")


def canvas_reads(text: str) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Points of each assignment, and grades by login."""
    first = text.splitlines()[:3]
    widths = {each: {len(rows_of(line, each)[0]) for line in first} for each in ";,"}
    comma, semicolon = (widths[each].pop() if len(widths[each]) == 1 else 0 for each in ",;")
    rows = rows_of(text, ";" if semicolon > comma else ",")
    header, *rest = [[as_canvas_takes_it(cell) for cell in row] for row in rows]
    assert len(header) > 3
    assert "Student" in header[0]
    assert "ID" in header[1]
    assert re.search(r"SIS\s+User\s+ID", header[2])
    assert re.search(r"SIS\s+Login\s+ID", header[3])
    about_the_student = 3 + 2
    assert "Section" in header[about_the_student - 1]
    titles = [each for each in header[about_the_student:] if not NO_ASSIGNMENTS.search(each)]
    points: dict[str, float] = {}
    grades: dict[str, dict[str, float]] = {}
    for row in rest:
        told = {title: float(row[header.index(title)]) for title in titles}
        if "Points Possible" in row[0]:
            points = told
        else:
            assert row[1:3] == ["", ""], "with neither id the login is asked for"
            grades[row[3]] = told
    return points, grades


def as_canvas_takes_it(cell: str) -> str:
    """Of a number the last mark is the decimal one, whatever it looks like."""
    if not re.fullmatch(r"-?[0-9.,]+%?", cell):
        return cell
    *whole, last = re.split("[,.]", cell)
    return f"{''.join(whole)}.{last}" if whole else last


def test_canvas_finds_assignments_students_and_points() -> None:
    [text] = FORMATS["canvas"](reports()).values()
    points, grades = canvas_reads(text)
    assert points == WORTH
    assert grades == {report.student: points_of(report) for report in reports()}


# -- Moodle ----------------------------------------------------------------------------------------

HIGHEST_GRADE = 100
"""Unless a site allows more."""


def moodle_reads(
    text: str, usernames: Collection[str], mapping: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """What each user is given, by grade item or `feedback of` it: all of it, or ValueError."""
    header, *rows = rows_of(text)
    if len({header.count(each) for each in header}) > 1 or len(header) < 2:
        raise ValueError("two columns cannot be told apart")
    given: dict[str, dict[str, str]] = {}
    for row in rows:
        told = dict(zip([mapping[each.strip()] for each in header], row, strict=True))
        user = told.pop("username").strip()
        if user not in usernames:
            raise ValueError(f"there is no user {user!r}: nothing is imported")
        for item, value in told.items():
            if not item.startswith("feedback") and not float(value) <= HIGHEST_GRADE:
                raise ValueError(f"{value} is too much")
        given[user] = told
    return given


def test_moodle_takes_every_row_and_column() -> None:
    [text] = FORMATS["moodle"](reports()).values()
    mapping = {"Username": "username", **{title: title for title in TITLES}}
    mapping |= {f"{title} (feedback)": f"feedback of {title}" for title in TITLES}
    given = moodle_reads(text, STUDENTS, mapping)
    for report in reports():
        told = given[report.student]
        assert {title: float(told[title]) for title in TITLES} == points_of(report)
        assert "10.3: failed" in told[f"feedback of {TITLES[1]}"]
    assert all(user == user.lower() for user in given), "as Moodle's user names are"
    assert max(sum(entry.points.values()) for entry in labs().values()) <= HIGHEST_GRADE


# -- Gradescope, Classroom 50 ----------------------------------------------------------------------


def test_gradescope_adds_up() -> None:
    files = FORMATS["gradescope"](reports())
    assert list(files) == [f"{student}.json" for student in STUDENTS]
    for report in reports():
        told = json.loads(files[f"{report.student}.json"])
        assert told["score"] == sum(test["score"] for test in told["tests"]) == report.points
        assert sum(test["max_score"] for test in told["tests"]) == sum(WORTH.values())
        assert {test["status"] for test in told["tests"]} <= {"passed", "failed"}
        assert told["visibility"] == "visible"


def test_classroom50_is_as_its_schema_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """schemas/result-v1.schema.json: these fields and no others, these patterns; and what its
    runner checks beside it.
    """
    report = reports()[1]
    [text, _] = FORMATS["classroom50"]([report]).values()
    told = json.loads(text)
    assert set(told) == {
        *("schema", "classroom", "assignment", "assignment_type", "owner", "submission"),
        *("commit", "release", "review", "datetime", "graded_at", "score", "max-score", "tests"),
    }
    assert all(told[field] for field in ("classroom", "assignment", "commit", "release", "review"))
    assert told["schema"] == "classroom50/result/v1"
    assert told["submission"].startswith("submit/")
    for field in ("datetime", "graded_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told[field])
    assert type(told["score"]) is type(told["max-score"]) is int
    assert (told["score"], told["max-score"]) == (points_of(report)[TITLES[0]], WORTH[TITLES[0]])
    for test in told["tests"]:
        assert type(test["passed"]) is bool
        assert test["test-name"]
        assert type(test["score"]) is type(test["max-score"]) is int
        assert 0 <= test["score"] <= test["max-score"]
    monkeypatch.setenv("ASSIGNMENT", "lab-two")
    monkeypatch.setenv("SUBMISSION_TAG", "submit/now-abc")
    [text, _] = FORMATS["classroom50"]([report]).values()
    assert json.loads(text)["assignment"] == "lab-two"
    assert json.loads(text)["submission"] == "submit/now-abc"
