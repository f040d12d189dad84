"""The article's claims, by id.

The labs put an article about Kafka ("Kafka's core principle: zero copy") to the test. Each of its
claims has a stable id and one sentence in our own words, kept in `claims.toml` beside this
module. Conclusions and reports cite the ids; a verdict is never stored here, because it belongs
to the machine on which a lab ran.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Claim(NamedTuple):
    """One claim: its id ("Z2"), the part of the article it comes from, and what it says.

    `is_about_kafka`: it says what Kafka does, so only a Kafka (or its sources) can be asked.
    """

    id: str
    topic: str
    says: str
    is_about_kafka: bool


@cache
def claims() -> dict[str, Claim]:
    """All claims in the article's order, by id."""
    text = files(__package__).joinpath("claims.toml").read_text(encoding="utf-8")
    return {
        key: Claim(key, entry["topic"], entry["says"], entry.get("about") == "Kafka")
        for key, entry in tomllib.loads(text).items()
    }


def claim(claim_id: str) -> Claim:
    """The claim with that id; KeyError that lists the ids there are."""
    try:
        return claims()[claim_id]
    except KeyError:
        raise KeyError(
            f"no claim {claim_id!r}; the article's claims are {', '.join(claims())}"
        ) from None
