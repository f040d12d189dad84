"""What sources say of the claims, kept in `cited.toml` beside this module, by lab.

`conclude` adds it to what the lab found, so that a claim about Kafka is never left to our own
broker, and a lesson has to do nothing for it.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

from zerocopy_lab.classroom.evidence import Finding, Verdict, cited_finding


@cache
def cited_beside(lab_id: str) -> tuple[Finding, ...]:
    """The cited findings of this lab. NoEvidence, KeyError or ValueError for an entry that names
    no source, no claim or no verdict there is.
    """
    text = files(__package__).joinpath("cited.toml").read_text(encoding="utf-8")
    return tuple(
        cited_finding(
            each["claim"], Verdict(each["verdict"]), each["says"], each["source"], each["part"]
        )
        for each in tomllib.loads(text)["cited"]
        if each["lab"] == lab_id
    )
