"""An aspect: a claim, whom it was asked of, and which part of it; and what was found out about it.

    producer = Aspect("S6", about(broker), "the producer")
    producer.counted(written_bytes == 0, "It wrote nothing.", Quantity("written", written_bytes))
    producer.not_testable("The kernel does not count here.")

Yes, no and None become a verdict; where our own broker was asked about Kafka, an illustration.
"""

from __future__ import annotations

from typing import NamedTuple

from zerocopy_lab.classroom.evidence import (
    Evidence,
    Finding,
    Quantity,
    Verdict,
    seen_on,
    verdict_if,
)
from zerocopy_lab.classroom.subject import Subject


class Aspect(NamedTuple):
    """`part` is empty where the whole claim is meant. Findings are checked as by `finding`."""

    claim_id: str
    about: Subject
    part: str = ""

    def proved(
        self, holds: Verdict | bool | None, words: str, *shown: Quantity, source: str = ""
    ) -> Finding:
        """By a yes or no that no clock can blur."""
        return self._found(Evidence.PROVED, holds, words, shown, source)

    def counted(
        self, holds: Verdict | bool | None, words: str, *shown: Quantity, source: str = ""
    ) -> Finding:
        """By an exact count."""
        return self._found(Evidence.COUNTED, holds, words, shown, source)

    def timed(
        self, holds: Verdict | bool | None, words: str, *shown: Quantity, source: str = ""
    ) -> Finding:
        """By times, CPU times or rates."""
        return self._found(Evidence.TIMED, holds, words, shown, source)

    def not_testable(self, why: object) -> Finding:
        """Nothing was shown, and why."""
        return self._found(Evidence.COUNTED, Verdict.NOT_TESTABLE, str(why), (), "")

    def _found(
        self,
        evidence: Evidence,
        holds: Verdict | bool | None,
        words: str,
        shown: tuple[Quantity, ...],
        source: str,
    ) -> Finding:
        verdict = holds if isinstance(holds, Verdict) else verdict_if(holds)
        told = {"source": source, "part": self.part}
        return seen_on(self.about, self.claim_id, verdict, evidence, words, *shown, **told)
