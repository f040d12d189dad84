"""Lab 08 concludes what is so: bytes as they were sent, lies that are found out or not, a price,
fetches that copy nothing; and a broker that repacks behind one's back changes one verdict alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.labs.right_code import detective_by_the_header
from zerocopy_lab.classroom.evidence import Finding, Likeness, Verdict
from zerocopy_lab.classroom.exercises import State, exercise_of, grade_of
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.subject import THIS_BROKER, kafka_here
from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab08 import batch_travel
from zerocopy_lab.lessons.lab08 import no_transformation as lesson
from zerocopy_lab.lessons.lab08 import no_transformation_exercises as exercises
from zerocopy_lab.lessons.lab08 import price as pricing
from zerocopy_lab.lessons.lab08.batch_travel import (
    Lie,
    Travelled,
    lying,
    packed_by_librdkafka,
    stored_at,
)
from zerocopy_lab.lessons.lab08.price import LOOKING, PASSING, REPACKING, TLS, Prices
from zerocopy_lab.measuring.alias_test import Answer
from zerocopy_lab.records.batch import check_stored_batch, iterate_headers
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.existing_cluster import ExistingCluster
from zerocopy_lab.running.running_broker import RunningBroker

LabOf = Callable[..., Lab]
KAFKA = kafka_here("4.2.0")
SENT = build_batch([Record(0, 1_700_000_000_000, b"AA1", b"late")])
STAMPED = b"\0" * 7 + b"\x07" + SENT[8:12] + b"\0" * 4 + SENT[16:]

REPACKS_ZSTD = '''\
"""Python imports this module by itself at its start: brokers repack zstd as gzip, and say nothing.
"""

import sys

if "serve" in sys.orig_argv:
    from zerocopy_lab.log import partition_log
    from zerocopy_lab.records.batch import read_header
    from zerocopy_lab.records.compression import Codec
    from zerocopy_lab.records.record import read_records, rebuild_batch

    admit = partition_log.admit

    def admit_and_repack(*arguments):
        batch, header = admit(*arguments)
        if header.codec is Codec.ZSTD:
            batch = memoryview(bytearray(rebuild_batch(header, list(read_records(batch)), 1)))
        return batch, read_header(batch)

    partition_log.admit = admit_and_repack
'''


@pytest.fixture
def brokers_that_repack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "sabotage"
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(REPACKS_ZSTD)
    monkeypatch.setenv("PYTHONPATH", str(directory))


def concluded(lab: Lab) -> dict[str, Finding]:
    """The whole lab on our broker, by part; what is cited stands aside."""
    with RunningBroker() as broker:
        travelled = lesson.travel_all(broker, lab)
        lies = batch_travel.ask_with_lies(broker, lab)
    assert all(lesson.invariants(travelled, lies).values())
    found = lesson.findings(travelled, lies, pricing.price("zerocopy_lab", lab), THIS_BROKER)
    return {each.part: each for each in found if not each.source}


def test_an_honest_broker_does_what_the_lab_says(lab_of: LabOf) -> None:
    found = concluded(lab_of("08"))
    assert found[lesson.BYTES].verdict is Likeness.DOES_SO
    assert found[lesson.INSIDE].verdict is Likeness.DOES_OTHERWISE  # it looks at first batches
    assert found[lesson.COPIES].verdict is Likeness.DOES_OTHERWISE
    assert found[lesson.PRICE].verdict in (Likeness.DOES_SO, Likeness.UNCLEAR)  # a clock decides


@pytest.mark.usefixtures("brokers_that_repack")
def test_a_broker_that_repacks_in_silence_changes_one_verdict_and_no_other(lab_of: LabOf) -> None:
    found = concluded(lab_of("08"))
    assert found[lesson.BYTES].verdict is Likeness.DOES_OTHERWISE
    assert "not so: this kit, zstd, librdkafka, zstd." in found[lesson.BYTES].words
    assert found[lesson.INSIDE].verdict is Likeness.DOES_OTHERWISE
    assert found[lesson.COPIES].verdict is Likeness.DOES_OTHERWISE
    assert found[lesson.PRICE].verdict in (Likeness.DOES_SO, Likeness.UNCLEAR)


def test_a_broker_that_never_looks_believes_every_lie(lab_of: LabOf) -> None:
    with RunningBroker(settings={"batch.validation": "never"}) as broker:
        lies = batch_travel.ask_with_lies(broker, lab_of("08"))
    assert [each.lying_code for each in lies] == [0] * 5
    assert lesson.inside_finding(lies, THIS_BROKER).verdict is Likeness.DOES_SO


def test_a_lie_is_whole_to_whoever_reads_the_header_alone() -> None:
    batch = lying(SENT)
    assert check_stored_batch(memoryview(batch)).records_count == 2


def test_what_librdkafka_sends_is_overheard_before_a_broker_touches_it(lab_of: LabOf) -> None:
    for name, batch in packed_by_librdkafka(lab_of("08")).items():
        [(_, header)] = iterate_headers(memoryview(batch))
        assert (header.base_offset, name) == (0, f"librdkafka, {header.codec.name.lower()}")
        check_stored_batch(memoryview(batch))


# -- verdicts of made-up values --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "answer", "verdict"),
    [
        (SENT, 1, Verdict.SUPPORTED),
        (STAMPED, 2, Verdict.SUPPORTED),
        (STAMPED[:20] + b"!" + STAMPED[21:], 2, Verdict.CONTRADICTED),
        (STAMPED[:-1] + b"!", 3, Verdict.CONTRADICTED),
        (STAMPED + b"!", 3, Verdict.CONTRADICTED),
        (bytes(each ^ 255 for each in SENT), 4, Verdict.CONTRADICTED),
    ],
)
def test_the_verdict_on_the_bytes_follows_the_bytes(
    stored: bytes, answer: int, verdict: Verdict
) -> None:
    travelled = [Travelled("a batch", SENT, stored, stored)]
    assert lesson.bytes_answer(travelled) == answer
    assert lesson.bytes_finding(travelled, KAFKA).verdict is verdict
    assert lesson.bytes_finding([travelled[0]._replace(stored=None)], KAFKA).verdict is verdict


@pytest.mark.parametrize(
    ("lies", "verdict"),
    [
        ([Lie("none", 0, 87), Lie("gzip", 0, -1)], Verdict.CONTRADICTED),
        ([Lie("none", 0, 0), Lie("gzip", 0, 0)], Verdict.SUPPORTED),
        ([Lie("none", 0, 87), Lie("gzip", 0, 0)], Verdict.INCONCLUSIVE),
        ([Lie("none", 3, 3), Lie("gzip", 0, 87)], Verdict.INCONCLUSIVE),
    ],
)
def test_a_lie_tells_only_where_the_honest_twin_was_accepted(
    lies: list[Lie], verdict: Verdict
) -> None:
    assert lesson.inside_finding(lies, KAFKA).verdict is verdict


def prices(repacking: float, after: Answer = "alias", wobble: float = 0.01) -> Prices:
    seconds = {
        way: [multiple * 1e-4 * (1 + wobble * number) for number in range(7)]
        for way, multiple in ((PASSING, 1.0), (LOOKING, 9.0), (REPACKING, repacking))
    }
    zero_copy: dict[str, Answer] = {PASSING: "alias", REPACKING: after, TLS: "copied"}
    return Prices(KAFKA, 80_000, 400, seconds, zero_copy, Spread(4, 3, 5, 3))


@pytest.mark.parametrize(
    ("repacking", "answer", "verdict"),
    [
        (1.0, 1, Verdict.INCONCLUSIVE),
        (0.5, 1, Verdict.CONTRADICTED),
        (3.0, 2, Verdict.SUPPORTED),
        (12.0, 3, Verdict.SUPPORTED),
        (48.0, 4, Verdict.SUPPORTED),
    ],
)
def test_the_verdict_on_the_price_follows_the_rounds(
    repacking: float, answer: int, verdict: Verdict
) -> None:
    measured = prices(repacking)
    assert pricing.price_answer(measured) == (answer, "")
    assert lesson.price_findings(measured, KAFKA)[0].verdict is verdict
    assert ("no clear difference" in pricing.price_words(measured)) is (repacking == 1.0)


@pytest.mark.parametrize(
    ("after", "answer", "verdict"),
    [
        ("alias", 2, Verdict.CONTRADICTED),
        ("copied", 1, Verdict.SUPPORTED),
        ("inconclusive", None, Verdict.INCONCLUSIVE),
    ],
)
def test_the_verdict_on_the_copies_follows_the_alias_test(
    after: Answer, answer: int | None, verdict: Verdict
) -> None:
    assert lesson.copies_answer(prices(9, after))[0] == answer
    assert lesson.copies_finding(prices(9, after)).verdict is verdict


def test_what_cannot_be_measured_says_why(lab_of: LabOf) -> None:
    not_measured = pricing.price("192.0.2.1:9092", lab_of("08"))
    assert isinstance(not_measured, Unmeasured)
    found = lesson.price_findings(not_measured, KAFKA)
    assert [each.verdict for each in found] == [Verdict.NOT_TESTABLE] * 2
    assert "cannot be read from here" in found[0].words
    assert pricing.price_answer(not_measured)[0] is lesson.copies_answer(not_measured)[0] is None
    assert pricing.price_picture(not_measured).alt
    assert stored_at(ExistingCluster("192.0.2.1:9092"), "flights", 0) is None


def test_without_tls_its_row_says_why_and_nothing_is_concluded() -> None:
    without = prices(9)._replace(tls=Unmeasured("no OpenSSL"), zero_copy={})
    assert lesson.tls_finding(without) is None
    assert "not here, no OpenSSL" in pricing.price_picture(without).alt


@pytest.mark.parametrize(
    ("byte", "words"),
    [
        (0, "refuses it (InvalidRecord"),  # a base offset that is not 0
        (14, "takes it and writes over that byte; who reads the file finds it whole"),
        (16, "finds it damaged (CorruptMessage: magic"),
        (19, "CRC-32C"),
        (70, "CRC-32C"),
    ],
)
def test_who_notices_an_inverted_byte(byte: int, words: str) -> None:
    assert words in lesson.flip_words(byte)
    assert f"Byte {byte} inverted" in lesson.draw_flip(byte).alt


def test_the_picture_says_which_bytes_are_others() -> None:
    travelled = Travelled("a batch", SENT, STAMPED, STAMPED)
    assert "7, 12, 13, 14, 15" in lesson.header_picture(travelled).alt
    assert "5 are others, all within the broker's two fields" in lesson.header_words(travelled)


# -- exercises -------------------------------------------------------------------------------------


def test_cores_are_counted_as_by_hand() -> None:
    question = exercises.CoresQuestion(1_000_000, 500, 250, 1.5)
    assert exercises.cores_needed(question) == (1, 2)


def never_damaged(sent: bytes, found: bytes) -> str:
    happened = detective_by_the_header(sent, found)
    return "stamped" if happened == "damaged" else happened


def cores(lab: Lab) -> tuple[int, int]:
    return exercises.cores_needed(exercises.cores_question(lab))


def per_record(lab: Lab) -> tuple[int, int]:
    question = exercises.cores_question(lab)
    return -(-question.records_per_s * question.passing_us_per_batch // 1_000_000), 1


WRONG: list[tuple[str, Callable[[Lab], object], str]] = [
    ("08.1", lambda _: 12, "The answer is a function"),
    ("08.2", lambda _: never_damaged, 'Not "stamped"'),
    ("08.2", lambda _: lambda sent, found: "fine", "none of the words"),
    ("08.2", lambda _: "stamped", "The answer is a function"),
    ("08.3", lambda lab: (cores(lab)[0], 1), "pays both"),
    ("08.3", lambda lab: cores(lab)[0], "Two whole numbers"),
    ("08.3", lambda _: (0, 0), "a million microseconds"),
    ("08.3", per_record, "for each batch, not for each record"),
]


@pytest.mark.parametrize(("exercise_id", "answer", "hint"), WRONG)
def test_a_typical_wrong_answer_fails_with_its_hint(
    lab_of: LabOf, exercise_id: str, answer: Callable[[Lab], object], hint: str
) -> None:
    lab = lab_of("08")
    grade, _ = grade_of(exercise_of(exercise_id), answer(lab), lab)
    assert grade.state is State.FAILED
    assert hint in grade.words


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_right_answers_pass_and_stubs_are_not_attempted(lab_of: LabOf, seed: int) -> None:
    lab = lab_of("08", seed)
    for exercise_id, answer in (("08.2", detective_by_the_header), ("08.3", cores(lab))):
        assert grade_of(exercise_of(exercise_id), answer, lab)[0].state is State.PASSED
    stub: Callable[..., None] = lambda *_: None  # noqa: E731
    for exercise_id in ("08.1", "08.2"):
        grade, _ = grade_of(exercise_of(exercise_id), stub, lab)
        assert grade.state is State.NOT_ATTEMPTED
