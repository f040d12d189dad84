"""What the exercises of lab 14 are drawn from: made-up findings, evidence files, a class."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from zerocopy_lab.classroom.evidence_file import SCHEMA, VERSION
from zerocopy_lab.classroom.lab import Lab

BASES: Final = ("seen here", "recorded", "cited")
_VERDICTS: Final = ("supported", "contradicted", "inconclusive", "not testable here")

FoundPart = tuple[str, str, str]
"""part, basis, verdict"""


def made_up_claim(draw: random.Random) -> list[FoundPart]:
    """What was found on one claim: at most one finding for each part and basis."""
    found = [
        (part, basis, draw.choice(_VERDICTS))
        for part in draw.sample(
            ["the sender", "the card", "its price", "Kafka"], draw.randint(0, 4)
        )
        for basis in draw.sample(BASES, draw.randint(1, 3))
    ]
    draw.shuffle(found)
    return found


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


class MadeUpClass(NamedTuple):
    """`machines`: name -> facts of the host; `verdicts`: part -> name -> verdict."""

    machines: Mapping[str, Mapping[str, str]]
    verdicts: Mapping[str, Mapping[str, str]]


FACTS: Final[Mapping[str, tuple[str, str]]] = {
    "kernel": ("6.1", "6.12"),
    "file system": ("ext4", "overlay"),
    "congestion control": ("bbr", "cubic"),
    "rights": ("root", "ordinary user"),
}
PARTS: Final = ("Z2 price", "L1 TLS", "L3 small", "P2 late", "W2 packets", "Z1 copies")


def made_up_class(lab: Lab) -> MadeUpClass:
    """A class of six for exercise 14.3. No two facts divide it in the same way."""
    draw = lab.random("class")
    names = ["ada", "bob", "cho", "dan", "eve", "fay"]
    splits: list[frozenset[str]] = []
    while len(splits) < len(FACTS):
        side = frozenset(draw.sample(names, draw.randint(2, 4)))
        if side not in splits and frozenset(names) - side not in splits:
            splits.append(side)
    by_fact = dict(zip(FACTS, splits, strict=True))
    machines = {
        name: {fact: values[name in by_fact[fact]] for fact, values in FACTS.items()}
        for name in names
    }
    depending = dict(zip(draw.sample(PARTS, 3), draw.sample(list(FACTS), 3), strict=True))
    verdicts = {
        part: _made_up_verdicts(draw, names, by_fact.get(depending.get(part, ""))) for part in PARTS
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
