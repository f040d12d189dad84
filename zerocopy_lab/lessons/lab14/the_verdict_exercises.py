"""The exercises of lab 14: the rule as code, a reader that is not fooled, what depends on what."""

from __future__ import annotations

from typing import Any, Final

from zerocopy_lab.classroom.evidence_file import SCHEMA, VERSION
from zerocopy_lab.classroom.exercises import Exercise, Grade, failed, passed, tried
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.lessons.lab14.made_up_evidence import (
    BASES,
    FACTS,
    PARTS,
    FoundPart,
    MadeUpClass,
    made_up_claim,
    made_up_class,
    made_up_text,
)

_CASES: Final = 60
_SHORT: Final = {"supported": "yes", "contradicted": "no", "inconclusive": "?"}


# -- 14.1 ------------------------------------------------------------------------------------------


def right_judgement(found: list[FoundPart]) -> str:
    """By the rule, over a table of parts and bases."""
    table = {(part, basis): verdict for part, basis, verdict in found}
    yes = no = False
    for part in {part for part, _, _ in found}:
        for basis in BASES:
            verdict = table.get((part, basis), "not testable here")
            if verdict != "not testable here":
                yes, no = yes or verdict == "supported", no or verdict == "contradicted"
                break
    return {(True, True): "half right", (True, False): "right", (False, True): "wrong"}.get(
        (yes, no), "open"
    )


def _grade_judgement(answer: Any, lab: Lab) -> Grade:
    draw = lab.random("claims")
    claims = (made_up_claim(draw) for _ in range(_CASES))
    return tried(
        answer,
        "judge(found) -> 'right', 'half right', ...",
        (((found,), right_judgement(found)) for found in claims),
        lambda said, right, found: f"{found}: you say {said!r}. {_why_not(found, said, right)}",
        f"{_CASES} claims, each as the rule has it.",
    )


def _why_not(found: list[FoundPart], said: object, right: str) -> str:
    if said not in ("right", "half right", "wrong", "open"):
        return "There are four judgements: 'right', 'half right', 'wrong', 'open'."
    if right == "open":
        return "What is inconclusive or was not testable decides nothing."
    if len({basis for _, basis, _ in found}) > 1:
        return "Of each part, which finding speaks? The others stand aside."
    return "Look at the decided parts only: are there some of each kind?"


# -- 14.2 ------------------------------------------------------------------------------------------


def _grade_reader(answer: Any, lab: Lab) -> Grade:
    draw = lab.random("evidence files")
    texts = (made_up_text(draw) for _ in range(_CASES))
    return tried(
        answer,
        "read(text) -> 'as written', 'changed', ...",
        (((text,), right) for text, right in texts),
        lambda said, right, text: f"{text[:300]!r}: you say {said!r}. {_READER_HINTS[right]}",
        f"{_CASES} files, no forged one believed and no sound one refused.",
    )


_READER_HINTS: Final = {
    "as written": "Spaces, lines and the order of keys change nothing: hash the sorted form.",
    "changed": "Compute the digest of everything but the digest, and hold it against the one told.",
    "outdated": f"This program reads version {VERSION}, and trusts no other to mean the same.",
    "no evidence": f"It has to be JSON, a table, with the schema {SCHEMA!r}, before all else.",
}


# -- 14.3 ------------------------------------------------------------------------------------------


def my_class(lab: Lab) -> MadeUpClass:
    """The learner's own class, shown as a table."""
    made_up = made_up_class(lab)
    rows = [
        [name, *facts.values(), *(_SHORT[made_up.verdicts[part][name]] for part in PARTS)]
        for name, facts in made_up.machines.items()
    ]
    show_table(["who", *FACTS, *PARTS], rows)
    return made_up


def right_reasons(lab: Lab) -> dict[str, str]:
    """Part -> the one fact that divides the class as its verdicts do."""
    made_up = made_up_class(lab)
    found = {}
    for part, verdicts in made_up.verdicts.items():
        if {"supported", "contradicted"} <= set(verdicts.values()):
            [found[part]] = [
                fact
                for fact in FACTS
                if len({(facts[fact], verdicts[name]) for name, facts in made_up.machines.items()})
                == 2
            ]
    return found


def _grade_reasons(answer: Any, lab: Lab) -> Grade:
    right = right_reasons(lab)
    if not isinstance(answer, dict):
        return failed('Answer with a dict, such as {"Z2 price": "rights"}.')
    if unknown := sorted(map(str, set(answer) - set(PARTS))):
        return failed(f"{unknown[0]!r} is no part of the table.")
    if not_facts := sorted({str(fact) for fact in answer.values()} - set(FACTS)):
        return failed(f"{not_facts[0]!r} is no fact of the table: {', '.join(FACTS)}.")
    if too_many := sorted(set(answer) - set(right)):
        return failed(f"{too_many[0]}: is there a yes and a no? A question mark is no answer.")
    if missing := sorted(set(right) - set(answer)):
        return failed(f"{len(missing)} more: look for columns with a yes and a no.")
    wrong = [part for part in right if right[part] != answer[part]]
    if wrong:
        return failed(f"{wrong[0]}: does {answer[wrong[0]]} differ just where the answers do?")
    return passed("Each fact divides the class as the verdicts do. (A reason it may be, no proof.)")


EXERCISES = (
    Exercise(
        "14.1",
        "The rule as code: what is left of a claim?",
        _grade_judgement,
        (
            "Go part by part. Which of its findings speaks? Only then look at the verdict.",
            "For each part try 'seen here', 'recorded', 'cited' in turn; the first that is not "
            "'not testable here' speaks, even if it is 'inconclusive'.",
            "Collect the speaking verdicts in a set, keep 'supported' and 'contradicted': none "
            "left is 'open', both 'half right', else 'right' or 'wrong'.",
        ),
        takes_code=True,
    ),
    Exercise(
        "14.2",
        "A reader of evidence files that is not fooled.",
        _grade_reader,
        (
            "In which order? What is no table of this schema has no version and no digest either.",
            "json.loads raises ValueError for what is no JSON, and may return a list, None, a "
            "string. The version comes before the digest.",
            "The digest: take 'digest' out, json.dumps(rest, sort_keys=True, separators=(',', "
            "':')), 'sha256:' + hashlib.sha256(...encode()).hexdigest().",
        ),
        takes_code=True,
    ),
    Exercise(
        "14.3",
        "Which parts depend on the machine, and on what?",
        _grade_reasons,
        (
            "First the columns: where is there both a yes and a no?",
            "Then, for each of them, who said yes? Look for the fact that these share and no "
            "other has.",
            "Three parts depend on the machine, each on a fact of its own.",
        ),
    ),
)
