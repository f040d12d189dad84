"""Lab 13: the same questions to this kit's broker and to a real Kafka.

Both are started in `two_brokers`; `counted`, `side_by_side` and `files` ask; `page` holds the
answers, also those of a recorded run; `verdicts` says what they mean for the article's claims. Here
is what the notebook uses, and where ours differs, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.client.consumer import fetch, fetch_frame
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured
from zerocopy_lab.lessons.lab13 import page
from zerocopy_lab.lessons.lab13.counted import left_out
from zerocopy_lab.lessons.lab13.page import Answer, Answers, figures, show_page
from zerocopy_lab.lessons.lab13.side_by_side import pair
from zerocopy_lab.lessons.lab13.storing import Storing
from zerocopy_lab.lessons.lab13.the_real_kafka_exercises import CODECS, fetch_prices
from zerocopy_lab.lessons.lab13.two_brokers import KAFKA, TwoBrokers
from zerocopy_lab.lessons.lab13.verdicts import findings, invariants

__all__ = [
    "CODECS",
    "Frames",
    "Storing",
    "TwoBrokers",
    "Unavailable",
    "Wire",
    "fetch",
    "fetch_frame",
    "fetch_prices",
    "figures",
    "findings",
    "invariants",
    "show_page",
]


def held_up_words(two: TwoBrokers, found: Mapping[str, Answer]) -> str:
    """How many of a dozen waited, of each broker; the recorded Kafka's where none was asked."""
    told = [f"{name}: {_in_words(each)}" for name, each in found.items()]
    if KAFKA not in two.brokers and (recorded := _recorded_held_up()) is not None:
        told.append(f"{KAFKA}, RECORDED: {_in_words(recorded)}")
    return "; ".join(told)


def _recorded_held_up() -> Answer | None:
    return page.recorded_answers().get(KAFKA, {}).get(page.HELD_UP)


def _in_words(found: Answer) -> str:
    return f"not seen here ({found})" if isinstance(found, Unmeasured) else found.in_words()


def show_left_out(two: TwoBrokers, answered: Mapping[str, Answers]) -> None:
    """Which requests a Kafka answers and ours does not."""
    kafka = answered.get(KAFKA) or page.recorded_answers().get(KAFKA, {})
    names = left_out(answered, kafka)
    where = "" if KAFKA in two.brokers else " (recorded)"
    print(f"{len(names)} requests that Kafka{where} answers and ours does not:")
    print(", ".join(names))


def show_why(two: TwoBrokers, answered: Mapping[str, Answers]) -> None:
    """Ours / Kafka for each figure that both have, from one run; and what stands behind it."""
    found = pair(two, answered)
    if found is None:
        print("No Kafka was asked here, and none is recorded.")
        return
    ours, theirs, where = found
    rows = []
    for question, why in _WHY.items():
        mine, others = page.number(ours, question), page.number(theirs, question)
        if mine is not None and others:
            rows.append([question, f"{mine / others:.2g}", why])
    show_table(["asked", "ours / Kafka", "what stands behind it"], rows)
    print(f"Of one run. {where}.")


_WHY: Final = {
    page.START: "Kafka starts a JVM, formats its directory, and elects a controller (of one).",
    page.MEMORY: "A heap, compiled code, mapped indexes: paid once, whatever comes.",
    page.SENDFILES: "Kafka holds the socket's buffer at 100 KiB (socket.send.buffer.bytes), so "
    "1 MiB fills it a few times; ours leaves its size to the kernel.",
    page.CPU[4096]: "The work around one fetch: three threads hand it on, quotas and metrics are "
    "kept, an object is made for every step.",
    page.CPU[1 << 20]: "The same work, for 256 times the bytes: here the kernel's share shows.",
    page.P50: "Each hand-over between threads wakes one up.",
    page.TLS: "Each encrypts in its own process: OpenSSL here, Java's own engine there.",
}
