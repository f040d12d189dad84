"""Lab 08: is what went in what comes out, does the broker look inside, and what would that cost?

How batches travel is in `batch_travel`, what looking inside costs in `price`. Here is what that
says of W1, part by part: the bytes, whether anybody looks inside, what it costs, and whether the
copies come back with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import (
    Finding,
    Quantity,
    Verdict,
    verdict_if,
    verdict_on_dearer,
)
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import box, show_table
from zerocopy_lab.classroom.subject import KERNEL_HERE, Subject, about
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.conformance.parts import kept_in
from zerocopy_lab.errors import KafkaError
from zerocopy_lab.instruments.spread import spread
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab08.batch_travel import (
    BROKERS_BYTES,
    Lie,
    Travelled,
    packed_by_librdkafka,
    packed_by_us,
    travel,
)
from zerocopy_lab.lessons.lab08.no_transformation_exercises import a_pair, cores_question
from zerocopy_lab.lessons.lab08.price import PASSING, REPACKING, TLS, Prices, price_words
from zerocopy_lab.pictures.byte_map import byte_map
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.records.batch import HEADER_BYTES, check_batch, check_stored_batch
from zerocopy_lab.records.fields import Field, header_fields
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.existing_cluster import AnyBroker
from zerocopy_lab.running.running_broker import RunningBroker

__all__ = ["Wire", "a_pair", "about", "build_batch", "cores_question", "produce"]

YOURS = "stamp"
"""The learner's, by the name of its part."""

BYTES, INSIDE, PRICE, COPIES = (
    "what went in comes out",
    "nobody looks inside",
    "looking inside costs",
    "looking inside brings the copies back",
)
_NO_ERROR = 0

# -- the bytes -------------------------------------------------------------------------------------


def travel_all(broker: AnyBroker, lab: Lab) -> list[Travelled]:
    """Ten batches, two clients by five codecs, through the broker."""
    return travel(broker, {**packed_by_us(lab), **packed_by_librdkafka(lab)}, "travelled")


def show_digests(travelled: Sequence[Travelled]) -> None:
    """A table: what the producer wrote, as sent and as received, and which bytes are others."""
    rows = []
    for each in travelled:
        sent, came = each.digests
        rows.append(
            [each.name, f"{len(each.sent):,}", sent[:12], came[:12], _positions(each.changed)]
        )
    head = ["batch", "bytes", "sha-256 as sent", "as received", "bytes that are others"]
    show_table(head, rows)


def _positions(changed: Sequence[int]) -> str:
    if len(changed) > len(BROKERS_BYTES):
        return f"{len(changed):,} of them"
    return ", ".join(map(str, changed)) or "none"


def bytes_answer(travelled: Sequence[Travelled]) -> int:
    """The number of the notebook's choice: none, in the header, in each record, nearly all."""
    most = max(travelled, key=lambda each: len(each.changed))
    if not most.changed:
        return 1
    if all(at < HEADER_BYTES for at in most.changed):
        return 2
    return 3 if len(most.changed) < len(most.sent) / 2 else 4


def header_picture(travelled: Travelled) -> Picture:
    """The header of a batch as it came to the consumer; the two fields of the broker are dark."""
    changed = [at for at in travelled.changed if at < HEADER_BYTES]
    return byte_map(
        travelled.fetched[:HEADER_BYTES],
        header_fields(memoryview(travelled.fetched)),
        first_position=0,
        rows=4,
        origin=Origin("PROVED"),
        title=f"Other bytes than those that were sent: {_positions(changed)}",
    )


def header_words(travelled: Travelled) -> str:
    """The conclusion under that picture."""
    inside = "all within the broker's two fields" if travelled.is_as_sent else "beyond the two"
    return (
        f"Of the {len(travelled.sent):,} bytes of the batch ({travelled.name}) "
        f"{len(travelled.changed)} are others, {inside}: baseOffset, 0-7, and "
        "partitionLeaderEpoch, 12-15. The crc, at 17, covers what comes from 21 on."
    )


def bytes_finding(travelled: Sequence[Travelled], asked: Subject) -> Finding:
    """W1: what the producer sent is what the consumer gets."""
    others = [each.name for each in travelled if not each.is_as_sent]
    packers = ", ".join(dict.fromkeys(each.name.partition(",")[0] for each in travelled))
    words = (
        f"{len(travelled) - len(others)} of {len(travelled)} batches (packed by: {packers}; a "
        "codec each) came back as they were sent but for base offset and leader epoch"
        + (f"; not so: {', '.join(others)}." if others else ".")
    )
    alike = sum(each.digests[0] == each.digests[1] for each in travelled)
    most = max(len(each.changed) for each in travelled)
    return Aspect("W1", asked, BYTES).proved(
        not others,
        words,
        Quantity("batches with the same sha-256 at both ends", alike),
        Quantity("bytes that are others, most in a batch", most),
    )


# -- inside ----------------------------------------------------------------------------------------


def show_lies(lies: Sequence[Lie]) -> None:
    """A table: how each codec's two batches were answered."""
    rows = [[each.codec, _answer(each.honest_code), _answer(each.lying_code)] for each in lies]
    show_table(["codec", "an honest batch", "one record more announced than inside"], rows)


def _answer(code: int) -> str:
    if code == _NO_ERROR:
        return "accepted"
    names = {each.code: each.__name__ for each in KafkaError.__subclasses__()}
    return f"refused ({names.get(code, 'error')}, {code})"


def inside_finding(lies: Sequence[Lie], asked: Subject) -> Finding:
    """W1: the broker need not parse. A lie that only the records give away is refused, or not."""
    judged = [each for each in lies if each.honest_code == _NO_ERROR]
    refused = sum(each.lying_code != _NO_ERROR for each in judged)
    verdict = Verdict.INCONCLUSIVE
    if len(judged) == len(lies) and refused in (0, len(lies)):
        verdict = verdict_if(refused == 0)
    words = (
        f"A batch that announces one record more than it holds, with header and CRC in agreement: "
        f"{refused} of {len(judged)} refused, packed or not. Only who counts the records inside "
        "can know."
    )
    return Aspect("W1", asked, INSIDE).proved(
        verdict,
        words,
        Quantity("honest batches accepted", len(judged)),
        Quantity("lying batches refused", refused),
    )


# -- the price -------------------------------------------------------------------------------------


def price_findings(prices: Prices | Unmeasured, asked: Subject) -> list[Finding]:
    """W1: what a broker pays that repacks, and whether its fetches copy from then on."""
    if isinstance(prices, Unmeasured):
        why = price_words(prices)
        return [Aspect("W1", asked, part).not_testable(why) for part in (PRICE, COPIES)]
    found = prices.compare(REPACKING)
    return [
        Aspect("W1", prices.subject, PRICE).timed(
            verdict_on_dearer(found.verdict),
            price_words(prices),
            *(
                Quantity(f"{way} / {PASSING}", prices.times(way))
                for way in prices.seconds
                if way != PASSING
            ),
            Quantity(PASSING, spread(s * 1e6 for s in prices.seconds[PASSING]), "µs a batch"),
        ),
        copies_finding(prices),
    ]


def copies_answer(prices: Prices | Unmeasured) -> tuple[int | None, str]:
    """The number of the notebook's choice: copied, no copy."""
    answer = "" if isinstance(prices, Unmeasured) else prices.zero_copy.get(REPACKING, "")
    if answer == "copied":
        return 1, ""
    return (2, "") if answer == "alias" else (None, "The test gave no clear answer.")


def copies_finding(prices: Prices) -> Finding:
    """W1: had it to parse, the copies would be back."""
    parsed = {way: a for way, a in prices.zero_copy.items() if way not in (PASSING, TLS)}
    copied = [way for way, answer in parsed.items() if answer == "copied"]
    clear = bool(parsed) and all(answer != "inconclusive" for answer in parsed.values())
    if not parsed:
        verdict, words = Verdict.NOT_TESTABLE, "The broker's files cannot be seen from here."
    else:
        verdict = verdict_if(bool(copied) if clear else None)
        words = (
            f"Fetched after the broker had looked inside or repacked: {len(copied)} of "
            f"{len(parsed)} answers copied. Parsing is paid for once, when a batch comes in; what "
            "was stored is sent like any other file."
        )
    return Aspect("W1", prices.subject, COPIES).proved(
        verdict,
        words,
        *(Quantity(f"a fetch after: {way}", answer) for way, answer in parsed.items()),
    )


def tls_finding(prices: Prices | Unmeasured) -> Finding | None:
    """What does bring the copies back: a transformation on the way out."""
    if isinstance(prices, Unmeasured) or isinstance(prices.tls, Unmeasured):
        return None
    if TLS not in prices.zero_copy:
        return None
    answer = prices.zero_copy[TLS]
    return Aspect("W1", KERNEL_HERE, "a change on the way out does").proved(
        {"copied": True, "alias": False}.get(answer),
        f"Encrypted in the program on its way out, the answer is a new one each time "
        f"({answer}); the sender's CPU was {prices.tls.text('times')} that of sendfile.",
        Quantity("the alias test under TLS", answer),
        Quantity("sender CPU, TLS / sendfile", prices.tls),
    )


# -- try it ----------------------------------------------------------------------------------------

_SMALL = (Record(0, 1_700_000_000_000, b"AA1", b"late"), Record(1, 1_700_000_000_007, None, b"ok"))


def small_batch_bytes() -> int:
    """How long the batch of the widget is."""
    return len(build_batch(_SMALL))


def _flipped(byte: int) -> bytearray:
    batch = bytearray(build_batch(_SMALL))
    batch[byte] ^= 0xFF
    return batch


def _told(batch: bytearray, produced: bool) -> str:
    check = check_batch if produced else check_stored_batch
    try:
        check(memoryview(batch))
    except KafkaError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def draw_flip(byte: int) -> Picture:
    """A small batch, one of its bytes inverted."""
    batch = _flipped(byte)
    found = _told(batch, False)
    reader = "a reader notices" if found else "no reader can notice"
    records = Field("(records)", HEADER_BYTES, len(batch) - HEADER_BYTES, b"", "two of them")
    fields = [*header_fields(memoryview(build_batch(_SMALL))), records]
    return byte_map(
        bytes(batch),
        [*fields, Field("the inverted byte", byte, 1, batch[byte])],
        first_position=0,
        rows=8,
        origin=Origin("PROVED"),
        title=f"Byte {byte} inverted, now {batch[byte]:02x}: {reader}",
    )


def flip_words(byte: int) -> str:
    """Who notices: the broker that is sent it, whoever reads it from the file."""
    batch = _flipped(byte)
    produced, stored = _told(batch, True), _told(batch, False)
    at_broker = f"refuses it ({produced})" if produced else "takes it"
    over = " and writes over that byte" if not produced and byte in BROKERS_BYTES else ""
    in_file = f"finds it damaged ({stored})" if stored else "finds it whole"
    return f"Byte {byte}: a broker that is sent it {at_broker}{over}; who reads the file {in_file}."


# -- the learner's own -----------------------------------------------------------------------------


def show_yours(lab: Lab) -> None:
    """The kept stamp in a broker: do the same batches come back as they were sent?"""
    if YOURS not in kept_in(lab.parts_dir):
        box("plain", "Your stamp", ["None is kept yet: pass 08.1, then run this again."])
        return
    with RunningBroker(parts=lab.parts_dir) as broker:
        travelled = travel(broker, packed_by_us(lab), "yours")
        subject = about(broker)
    box("plain", "Your stamp in a broker", [bytes_finding(travelled, subject).words])


# -- conclude --------------------------------------------------------------------------------------


def findings(
    travelled: Sequence[Travelled], lies: Sequence[Lie], prices: Prices | Unmeasured, asked: Subject
) -> list[Finding]:
    """All that this lab found."""
    under_tls = tls_finding(prices)
    return [
        bytes_finding(travelled, asked),
        inside_finding(lies, asked),
        *price_findings(prices, asked),
        *([under_tls] if under_tls else []),
    ]


def invariants(travelled: Sequence[Travelled], lies: Sequence[Lie]) -> dict[str, bool]:
    """What has to hold whatever broker was asked."""
    return {
        "the consumer gets what lies in the file": all(
            each.stored in (None, each.fetched) for each in travelled
        ),
        "every batch that came is whole": all(
            not _told(bytearray(each.fetched), False) for each in travelled
        ),
        "an honest batch is accepted": all(each.honest_code == _NO_ERROR for each in lies),
    }
