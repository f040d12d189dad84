"""Lab 07: what one more message costs alone, and in company.

A hundred messages one by one and as one batch, counted (`counts`); what a batch, a byte and a
message cost the broker (`costs`); what a real client gains and waits for, what compression makes
of larger batches, and fetching (`frontier`); an accumulator of one's own beside librdkafka's
(`race`).
"""

from __future__ import annotations

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import (
    Evidence,
    Finding,
    Quantity,
    Verdict,
    verdict_if,
    verdict_on_cheaper,
)
from zerocopy_lab.classroom.subject import KERNEL_HERE, Subject, about
from zerocopy_lab.classroom.thresholds import MANY_TIMES
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab07.batching_exercises import costs_question, stream_question
from zerocopy_lab.lessons.lab07.costs import (
    Costs,
    company_against_alone,
    costs_words,
    many_against_one,
    per_batch_s,
    per_byte_s,
    per_message_s,
)
from zerocopy_lab.lessons.lab07.counts import BROKERS_CALLS, MESSAGES, Counts
from zerocopy_lab.lessons.lab07.frontier import (
    ALONE,
    LINGERING,
    SeenSetting,
    frontier_words,
    lingering_against_alone,
)

__all__ = ["about", "costs_question", "stream_question"]

CLIENT, BROKER, PACKETS = "the client's calls", BROKERS_CALLS, "packets"
COST, GAIN = "what a message costs the broker", "messages a second"
OF_ITS_OWN = "a message in company costs nothing of its own"


def findings(
    subject: Subject,
    alone: Counts,
    company: Counts,
    costs: Costs | Unmeasured,
    found: dict[str, SeenSetting],
) -> list[Finding]:
    """What this lab says about W2."""
    return [
        _on_the_client(alone, company),
        _on_the_broker(subject, alone, company),
        _on_packets(subject, alone, company),
        *_on_costs(subject, costs),
        _on_the_gain(subject, found),
    ]


def _not_counted(part: str, why: Unmeasured, subject: Subject, evidence: Evidence) -> Finding:
    words = f"Not measured here: {str(why).rstrip('.')}."
    return Aspect("W2", subject, part).not_testable(words)


def _on_the_client(alone: Counts, company: Counts) -> Finding:
    one, many = company.client_sends, alone.client_sends
    if isinstance(one, Unmeasured) or isinstance(many, Unmeasured):
        why = next(each for each in (one, many) if isinstance(each, Unmeasured))
        return _not_counted(CLIENT, why, KERNEL_HERE, Evidence.COUNTED)
    return Aspect("W2", KERNEL_HERE, CLIENT).counted(
        one == 1 and many == MESSAGES,
        f"{MESSAGES} messages were {many} calls of send one by one, and {one} in a batch.",
        Quantity("calls of send, one by one", many),
        Quantity("calls of send, in a batch", one),
    )


def _ratio_verdict(many: int, one: int) -> Verdict:
    """A hundred to one, or thereabouts: what belongs to the connection is counted, too."""
    ratio = many / max(one, 1)
    return verdict_if(True if ratio >= MANY_TIMES else False if ratio < 2 else None)


def _on_the_broker(subject: Subject, alone: Counts, company: Counts) -> Finding:
    sums = []
    for counts in (alone, company):
        if isinstance(counts.broker_sends, Unmeasured):
            return _not_counted(BROKER, counts.broker_sends, subject, Evidence.COUNTED)
        assert not isinstance(counts.broker_receives, Unmeasured)
        sums.append(counts.broker_sends + counts.broker_receives)
    many, one = sums
    return Aspect("W2", subject, BROKER).counted(
        _ratio_verdict(many, one),
        f"The broker made {many} calls that receive, send or write for the messages one by one, "
        f"and {one} for the batch.",
        Quantity("calls, one by one", many),
        Quantity("calls, in a batch", one),
    )


def _on_packets(subject: Subject, alone: Counts, company: Counts) -> Finding:
    many, one = alone.segments, company.segments
    if isinstance(one, Unmeasured) or isinstance(many, Unmeasured):
        why = next(each for each in (one, many) if isinstance(each, Unmeasured))
        return _not_counted(PACKETS, why, subject, Evidence.COUNTED)
    return Aspect("W2", subject, PACKETS).counted(
        _ratio_verdict(many, one),
        f"{many} TCP segments left this machine's sockets one by one, {one} with the batch, both "
        f"directions together. In the log: {alone.log_bytes:,} bytes against "
        f"{company.log_bytes:,}.",
        Quantity("TCP segments, one by one", many),
        Quantity("TCP segments, in a batch", one),
        Quantity("bytes in the log, one by one", alone.log_bytes),
        Quantity("bytes in the log, in a batch", company.log_bytes),
    )


def _on_costs(subject: Subject, costs: Costs | Unmeasured) -> list[Finding]:
    if isinstance(costs, Unmeasured):
        return [_not_counted(COST, costs, subject, Evidence.TIMED)]
    cheaper, many = company_against_alone(costs), many_against_one(costs)
    told = {
        "dearer": "cost more than as one message: the broker looks at each of them",
        "cheaper": "cost less than as one message",
        "inconclusive": "and as one message made no difference that noise could not make",
    }[many.verdict]
    return [
        Aspect("W2", subject, COST).timed(
            verdict_on_cheaper(cheaper.verdict),
            f"In company a message took {cheaper.ratio.text('times')} the broker CPU of a message "
            f"alone: {cheaper.why}. {costs_words(costs)}",
            Quantity("in company / alone", cheaper.ratio),
            Quantity("a batch", _scaled(per_batch_s(costs)), "µs"),
            Quantity("a KiB", _scaled(per_byte_s(costs), 1024), "µs"),
        ),
        Aspect("W2", subject, OF_ITS_OWN).timed(
            Verdict.CONTRADICTED if many.verdict == "dearer" else Verdict.INCONCLUSIVE,
            f"The same bytes in the same batches, as a hundred messages, {told} "
            f"({many.ratio.text('times')}).",
            Quantity("100 messages / one message", many.ratio),
            Quantity("a message beside its bytes", _scaled(per_message_s(costs)), "µs"),
        ),
    ]


def _scaled(seconds: Spread, times: float = 1.0) -> Spread:
    """In microseconds."""
    median, low, high = (value * 1e6 * times for value in seconds[:3])
    return Spread(median, low, high, seconds.n)


def _on_the_gain(subject: Subject, found: dict[str, SeenSetting]) -> Finding:
    gain = lingering_against_alone(found)
    return Aspect("W2", subject, GAIN).timed(
        verdict_on_cheaper(gain.verdict),
        f"A real client with linger.ms=20 took {gain.ratio.text('times')} the time a message of "
        f"one that sends each alone: {gain.why}. {frontier_words(found)}",
        Quantity("time a message, linger 20 / one by one", gain.ratio),
        Quantity("latency one by one", spread(found[ALONE].latency_ms), "ms"),
        Quantity("latency with linger.ms=20", spread(found[LINGERING].latency_ms), "ms"),
    )
