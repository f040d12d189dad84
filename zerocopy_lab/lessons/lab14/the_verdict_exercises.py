"""The exercises of lab 14: the rule as code, a reader that is not fooled, what depends on what."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from zerocopy_lab.classroom.evidence_file import SCHEMA, VERSION
from zerocopy_lab.classroom.exercises import Exercise, Grade, failed, passed
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.conformance.part import NotBegun

_CASES: Final = 60
_BASES: Final = ("seen here", "recorded", "cited")
_VERDICTS: Final = ("supported", "contradicted", "inconclusive", "not testable here")
_SHORT: Final = {"supported": "yes", "contradicted": "no", "inconclusive": "?"}
_READINGS: Final = ("as written", "changed", "outdated", "no evidence")

FoundPart = tuple[str, str, str]
"""part, basis, verdict"""


# -- 14.1 ------------------------------------------------------------------------------------------


def made_up_claim(draw: random.Random) -> list[FoundPart]:
    """What was found on one claim: at most one finding for each part and basis."""
    found = [
        (part, basis, draw.choice(_VERDICTS))
        for part in draw.sample(
            ["the sender", "the card", "its price", "Kafka"], draw.randint(0, 4)
        )
        for basis in draw.sample(_BASES, draw.randint(1, 3))
    ]
    draw.shuffle(found)
    return found


def right_judgement(found: list[FoundPart]) -> str:
    """By the rule, over a table of parts and bases."""
    table = {(part, basis): verdict for part, basis, verdict in found}
    yes = no = False
    for part in {part for part, _, _ in found}:
        for basis in _BASES:
            verdict = table.get((part, basis), "not testable here")
            if verdict != "not testable here":
                yes, no = yes or verdict == "supported", no or verdict == "contradicted"
                break
    return {(True, True): "half right", (True, False): "right", (False, True): "wrong"}.get(
        (yes, no), "open"
    )


def _grade_judgement(answer: Any, lab: Lab) -> Grade:
    if not callable(answer):
        return failed("The answer is a function: judge(found) -> 'right', 'half right', ...")
    draw = lab.random("claims")
    for _ in range(_CASES):
        found = made_up_claim(draw)
        said, right = answer(list(found)), right_judgement(found)
        if said is None:
            raise NotBegun
        if said != right:
            return failed(f"{found}: you say {said!r}. {_why_not(found, said, right)}")
    return passed(f"{_CASES} claims, each as the rule has it.")


def _why_not(found: list[FoundPart], said: object, right: str) -> str:
    if said not in ("right", "half right", "wrong", "open"):
        return "There are four judgements: 'right', 'half right', 'wrong', 'open'."
    if right == "open":
        return "What is inconclusive or was not testable decides nothing."
    if len({basis for _, basis, _ in found}) > 1:
        return "Of each part, which finding speaks? The others stand aside."
    return "Look at the decided parts only: are there some of each kind?"


# -- 14.2 ------------------------------------------------------------------------------------------


def made_up_text(draw: random.Random) -> tuple[str, str]:
    """The text of an evidence file, and what there is to say about it."""
    told: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "lab": f"{draw.randrange(14):02}_made_up",
        "conclusion": {"findings": [{"claim_id": "Z2", "verdict": draw.choice(_VERDICTS)}]},
    }
    kind = draw.choice(["sound", "respaced", "edited", "no digest", "older", "newer", "other"])
    if kind in ("older", "newer"):
        told["version"] += 1 if kind == "newer" else -1
    if kind == "other":
        told["schema"] = draw.choice(["zerocopy_lab experiment", "", "Evidence"])
    told["digest"] = _digest(told)
    if kind == "edited":
        others = [
            each for each in _VERDICTS if each != told["conclusion"]["findings"][0]["verdict"]
        ]
        told["conclusion"]["findings"][0]["verdict"] = draw.choice(others)
    if kind == "no digest":
        del told["digest"]
    keys = list(told)
    if kind == "respaced":
        draw.shuffle(keys)
    text = json.dumps({key: told[key] for key in keys}, indent=draw.choice([None, 1, 4]))
    if kind == "other" and draw.random() < 0.6:
        text = draw.choice([text[:-1], f"[{text}]", "", "not even JSON", "null", '"text"'])
    said = {"edited": "changed", "no digest": "changed", "older": "outdated", "newer": "outdated"}
    return text, said.get(kind, "no evidence" if kind == "other" else "as written")


def _digest(told: Mapping[str, Any]) -> str:
    plain = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(plain.encode()).hexdigest()


def _grade_reader(answer: Any, lab: Lab) -> Grade:
    if not callable(answer):
        return failed("The answer is a function: read(text) -> 'as written', 'changed', ...")
    draw = lab.random("evidence files")
    for _ in range(_CASES):
        text, right = made_up_text(draw)
        said = answer(text)
        if said is None:
            raise NotBegun
        if said != right:
            return failed(f"{text[:300]!r}: you say {said!r}. {_READER_HINTS[right]}")
    return passed(f"{_CASES} files, no forged one believed and no sound one refused.")


_READER_HINTS: Final = {
    "as written": "Spaces, lines and the order of keys change nothing: hash the sorted form.",
    "changed": "Compute the digest of everything but the digest, and hold it against the one told.",
    "outdated": f"This program reads version {VERSION}, and trusts no other to mean the same.",
    "no evidence": f"It has to be JSON, a table, with the schema {SCHEMA!r}, before all else.",
}


# -- 14.3 ------------------------------------------------------------------------------------------


class MadeUpClass(NamedTuple):
    """`machines`: name -> facts of the host; `verdicts`: part -> name -> verdict."""

    machines: Mapping[str, Mapping[str, str]]
    verdicts: Mapping[str, Mapping[str, str]]


_FACTS: Final[Mapping[str, tuple[str, str]]] = {
    "kernel": ("6.1", "6.12"),
    "file system": ("ext4", "overlay"),
    "congestion control": ("bbr", "cubic"),
    "rights": ("root", "ordinary user"),
}
_PARTS: Final = ("Z2 price", "L1 TLS", "L3 small", "P2 late", "W2 packets", "Z1 copies")


def made_up_class(lab: Lab) -> MadeUpClass:
    """A class of six for exercise 14.3. No two facts divide it in the same way."""
    draw = lab.random("class")
    names = ["ada", "bob", "cho", "dan", "eve", "fay"]
    splits: list[frozenset[str]] = []
    while len(splits) < len(_FACTS):
        side = frozenset(draw.sample(names, draw.randint(2, 4)))
        if side not in splits and frozenset(names) - side not in splits:
            splits.append(side)
    by_fact = dict(zip(_FACTS, splits, strict=True))
    machines = {
        name: {fact: values[name in by_fact[fact]] for fact, values in _FACTS.items()}
        for name in names
    }
    depending = dict(zip(draw.sample(_PARTS, 3), draw.sample(list(_FACTS), 3), strict=True))
    verdicts = {
        part: _made_up_verdicts(draw, names, by_fact.get(depending.get(part, "")))
        for part in _PARTS
    }
    return MadeUpClass(machines, verdicts)


def _made_up_verdicts(
    draw: random.Random, names: list[str], side: frozenset[str] | None
) -> dict[str, str]:
    """Opposite on both sides, or the same for all but one or two that could not decide."""
    first, second = draw.sample(["supported", "contradicted"], 2)
    if side is not None:
        return {name: first if name in side else second for name in names}
    undecided = draw.sample(names, draw.randint(0, 2))
    return {name: "inconclusive" if name in undecided else first for name in names}


def my_class(lab: Lab) -> MadeUpClass:
    """The learner's own class, shown as a table."""
    made_up = made_up_class(lab)
    rows = [
        [name, *facts.values(), *(_SHORT[made_up.verdicts[part][name]] for part in _PARTS)]
        for name, facts in made_up.machines.items()
    ]
    show_table(["who", *_FACTS, *_PARTS], rows)
    return made_up


def right_reasons(lab: Lab) -> dict[str, str]:
    """Part -> the one fact that divides the class as its verdicts do."""
    made_up = made_up_class(lab)
    found = {}
    for part, verdicts in made_up.verdicts.items():
        if {"supported", "contradicted"} <= set(verdicts.values()):
            [found[part]] = [
                fact
                for fact in _FACTS
                if len({(facts[fact], verdicts[name]) for name, facts in made_up.machines.items()})
                == 2
            ]
    return found


def _grade_reasons(answer: Any, lab: Lab) -> Grade:
    right = right_reasons(lab)
    if not isinstance(answer, dict):
        return failed('Answer with a dict, such as {"Z2 price": "rights"}.')
    if unknown := sorted(map(str, set(answer) - set(_PARTS))):
        return failed(f"{unknown[0]!r} is no part of the table.")
    if not_facts := sorted({str(fact) for fact in answer.values()} - set(_FACTS)):
        return failed(f"{not_facts[0]!r} is no fact of the table: {', '.join(_FACTS)}.")
    if too_many := sorted(set(answer) - set(right)):
        return failed(f"{too_many[0]}: is there a yes and a no? A question mark is no answer.")
    if missing := sorted(set(right) - set(answer)):
        return failed(f"{len(missing)} more: look for columns with a yes and a no.")
    wrong = [part for part in right if right[part] != answer[part]]
    if wrong:
        return failed(f"{wrong[0]}: does {answer[wrong[0]]} differ just where the answers do?")
    return passed("Each fact divides the class as the verdicts do. (A reason it may be, no proof.)")


def _exercise(
    exercise_id: str,
    asks: str,
    grade: Callable[[Any, Lab], Grade],
    hints: tuple[str, str, str],
    *,
    takes_code: bool = False,
) -> Exercise:
    return Exercise(exercise_id, asks, grade, hints, takes_code)


EXERCISES = (
    _exercise(
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
    _exercise(
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
    _exercise(
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
