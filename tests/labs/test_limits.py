"""Lab 10: where zero copy ends is told from what was seen, whatever that is."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.labs.outcomes import outcome_of
from zerocopy_lab.classroom.evidence import Finding, Verdict
from zerocopy_lab.classroom.exercises import State, exercise_of, grade_of
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.subject import THIS_BROKER
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured
from zerocopy_lab.lessons.lab10 import (
    limits,
    limits_exercises,
    small_messages,
    tls,
    tls_in_a_broker,
)
from zerocopy_lab.lessons.lab10.small_messages import (
    DIRECT,
    MAP,
    OVER_CABLE,
    OVER_UNIX,
    READ,
    SizeSweep,
    SmallestFetch,
)
from zerocopy_lab.lessons.lab10.tls import Overheard
from zerocopy_lab.lessons.lab10.tls_in_a_broker import PLAIN, TLS, BrokerPrices
from zerocopy_lab.measuring import file_system_test
from zerocopy_lab.measuring.experiment import Outcome
from zerocopy_lab.measuring.file_system_test import OnFileSystem, Size, try_file_systems
from zerocopy_lab.measuring.small_sends import Over, Plan, small_sends
from zerocopy_lab.transfer import anonymous_tls
from zerocopy_lab.transfer.encrypt_then_send import EncryptThenSend

LabOf = Callable[..., Lab]
NOISE = (1.0, 1.02, 0.99)
LACKING = Unmeasured("nobody may mount here")
CIPHERED = Overheard("AES", False)


def outcome(direct: float, copying: float, records: float, under_tls: float) -> Outcome:
    prices = {
        tls.DIRECT: direct,
        tls.COPYING: copying,
        tls.RECORDS: records,
        tls.TLS: under_tls,
    }
    figures = ("sender_cpu_s_per_gib", "total_cpu_s_per_gib", "gib_per_s")
    return outcome_of(
        {
            name: [
                dict.fromkeys(figures, price * noise)
                for noise in (NOISE[::-1] if name == tls.TLS else NOISE)
            ]
            for name, price in prices.items()
        }
    )


def sweep(dearer_up_to: int = 1024, base: str = MAP) -> SizeSweep:
    """sendfile costs 2 µs where it is dearer, and half of the others where it is cheaper."""
    sizes = (64, 1024, 8192)
    costs = {way: {size: [1.0, 1.02, 0.99] for size in sizes} for way in (READ, MAP)}
    direct = {size: [2.0 if size <= dearer_up_to else 0.5] * 3 for size in sizes}
    over_all = {**costs, DIRECT: direct}
    elsewhere = {OVER_UNIX: over_all, OVER_CABLE: over_all}
    return SizeSweep(over_all, "made up", True, elsewhere)


def doors(small: float, large: float) -> BrokerPrices:
    """TLS takes so many times the CPU for 64 KiB, and for 1 MiB."""
    times = dict(zip(tls_in_a_broker.SIZES, (small, large), strict=True))
    plain = {(PLAIN, size): [1.0, 1.02, 0.99] for size in times}
    return BrokerPrices(
        THIS_BROKER, {**plain, **{(TLS, size): [t] * 3 for size, t in times.items()}}
    )


DEARER_WITH_TLS = doors(2, 6)
ALIAS = [
    OnFileSystem("ext4", "alias", ""),
    OnFileSystem("tmpfs", "alias", ""),
    OnFileSystem("xfs", "", "no mkfs.xfs"),
]


def verdicts(
    prices: Outcome | None = None,
    wire: Overheard = CIPHERED,
    systems: list[OnFileSystem] = ALIAS,
    sizes: SizeSweep | None = None,
    in_broker: BrokerPrices | Unmeasured = DEARER_WITH_TLS,
) -> dict[tuple[str, str], Verdict]:
    found: list[Finding] = [
        *tls.findings(prices or outcome(0.1, 0.3, 0.4, 0.9), wire),
        *tls_in_a_broker.findings(in_broker, THIS_BROKER),
        *limits.file_system_findings(systems),
        *small_messages.findings(sizes or sweep(), SmallestFetch(189, 259), THIS_BROKER),
    ]
    return {(each.claim_id, each.part): Verdict(each.verdict) for each in found}


USUAL = verdicts()


def changed(**seen: Any) -> dict[tuple[str, str], Verdict]:
    return {key: each for key, each in verdicts(**seen).items() if USUAL[key] != each}


def test_what_is_usually_seen() -> None:
    assert USUAL == {
        ("L1", "against sendfile"): Verdict.CONTRADICTED,
        ("L1", "against a sender that copies"): Verdict.CONTRADICTED,
        ("L1", "in a broker, fetches of 64 KiB"): Verdict.CONTRADICTED,
        ("L1", "in a broker, fetches of 1 MiB"): Verdict.CONTRADICTED,
        ("L2", "local file systems"): Verdict.CONTRADICTED,
        ("L3", "against read and send"): Verdict.SUPPORTED,
        ("L3", "against bytes in memory"): Verdict.SUPPORTED,
        ("L3", OVER_UNIX): Verdict.SUPPORTED,
        ("L3", OVER_CABLE): Verdict.SUPPORTED,
        ("L3", "a fetch"): Verdict.SUPPORTED,
    }


def test_a_price_of_a_quarter_more_supports_the_claim_and_one_around_it_is_not_clear() -> None:
    assert changed(prices=outcome(0.4, 0.3, 0.4, 0.5)) == {
        ("L1", "against sendfile"): Verdict.SUPPORTED
    }
    assert changed(prices=outcome(0.4, 0.1, 0.4, 0.52))[("L1", "against sendfile")] is (
        Verdict.INCONCLUSIVE
    )


def test_tls_in_a_broker_is_judged_size_by_size() -> None:
    assert changed(in_broker=doors(1.25, 6)) == {
        ("L1", "in a broker, fetches of 64 KiB"): Verdict.SUPPORTED
    }
    assert set(changed(in_broker=LACKING).values()) == {Verdict.NOT_TESTABLE}
    assert "nobody may mount here" in tls_in_a_broker.show(LACKING)


def test_a_broker_has_two_doors(lab_of: LabOf) -> None:
    found = tls_in_a_broker.price("zerocopy_lab", lab_of("10"))
    if isinstance(found, Unmeasured):
        pytest.skip(str(found))
    assert {len(rounds) for rounds in found.costs.values()} == {5}
    assert min(min(rounds) for rounds in found.costs.values()) > 0
    assert isinstance(tls_in_a_broker.price("far.away:9092", lab_of("10")), Unmeasured)


OF_TLS = {("L1", "against sendfile"), ("L1", "against a sender that copies")}


def test_a_cipher_that_encrypts_nothing_takes_the_verdicts_on_tls_and_no_other() -> None:
    assert changed(wire=Overheard("NULL", True)) == dict.fromkeys(OF_TLS, Verdict.INCONCLUSIVE)


def test_what_is_on_the_wire_is_a_cipher() -> None:
    assert changed(wire=tls.what_is_on_the_wire()) == {}


def test_a_cipher_that_does_nothing_is_overheard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anonymous_tls, "_ANONYMOUS_AES_GCM", "AECDH-NULL-SHA:@SECLEVEL=0")
    try:
        wire = tls.what_is_on_the_wire()
    except ssl.SSLError:
        pytest.skip("this OpenSSL has no cipher that does nothing")
    assert "NULL" in wire.cipher
    assert set(changed(wire=wire)) == OF_TLS


def test_who_goes_on_in_plain_after_the_handshake_is_overheard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The cipher that was agreed upon is a good one, and what is priced passes it by."""

    def past_tls(_: object, sock: socket.socket, chunk: memoryview) -> int:
        return os.write(sock.fileno(), chunk)

    monkeypatch.setattr(EncryptThenSend, "_send_chunk", past_tls)
    wire = tls.what_is_on_the_wire()
    assert "GCM" in wire.cipher
    assert set(changed(wire=wire)) == OF_TLS


def test_the_price_falls_apart_into_parts_that_add_up() -> None:
    shares = tls.shares(outcome(0.1, 0.3, 0.4, 0.9))
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["copies"] == pytest.approx(0.25)
    assert shares["cipher and records"] == pytest.approx(0.625)


@pytest.mark.parametrize(("under_tls", "answer"), [(0.125, 1), (0.18, 2), (0.4, 3), (0.9, 4)])
def test_the_answer_is_the_choice_that_was_measured(under_tls: float, answer: int) -> None:
    assert tls.price_answer(outcome(0.1, 0.11, 0.12, under_tls)) == answer


def test_a_file_system_that_copies_supports_the_claim_and_without_mounts_nothing_is_said() -> None:
    key = ("L2", "local file systems")
    copies = [*ALIAS, OnFileSystem("dax", "copied", "")]
    assert changed(systems=copies) == {key: Verdict.SUPPORTED}
    mixed = [*ALIAS, OnFileSystem("odd", "inconclusive", "")]
    assert changed(systems=mixed) == {key: Verdict.INCONCLUSIVE}
    alone = [ALIAS[0], OnFileSystem("tmpfs", "", "nobody may mount here.")]
    assert changed(systems=alone) == {key: Verdict.INCONCLUSIVE}
    told = limits.show_file_systems(alone)
    assert told.startswith("Not tried here: tmpfs (nobody may mount here). Recorded on ")


def test_sizes_move_the_verdicts_on_small_messages_only() -> None:
    always_cheaper = changed(sizes=sweep(dearer_up_to=0))
    assert always_cheaper == {
        ("L3", "against read and send"): Verdict.CONTRADICTED,
        ("L3", "against bytes in memory"): Verdict.CONTRADICTED,
        ("L3", OVER_UNIX): Verdict.CONTRADICTED,
        ("L3", OVER_CABLE): Verdict.CONTRADICTED,
        ("L3", "a fetch"): Verdict.INCONCLUSIVE,
    }
    assert changed(sizes=sweep(dearer_up_to=64)) == {("L3", "a fetch"): Verdict.INCONCLUSIVE}
    large = small_messages.findings(sweep(), SmallestFetch(9000, 9100), THIS_BROKER)[-1]
    assert (large.part, large.verdict) == ("a fetch", Verdict.CONTRADICTED)


def test_loops_in_python_are_no_evidence() -> None:
    in_python = sweep()._replace(in_c=False, elsewhere={})
    assert changed(sizes=in_python) == {
        ("L3", "against read and send"): Verdict.NOT_TESTABLE,
        ("L3", "against bytes in memory"): Verdict.NOT_TESTABLE,
        ("L3", OVER_UNIX): Verdict.NOT_TESTABLE,
        ("L3", OVER_CABLE): Verdict.NOT_TESTABLE,
        ("L3", "a fetch"): Verdict.INCONCLUSIVE,
    }
    assert small_messages.smallest_answer(in_python) is None
    assert small_messages.words(in_python) == small_messages.unclear(in_python)


def test_where_there_is_no_cable_the_others_are_shown() -> None:
    without = sweep()._replace(elsewhere={OVER_UNIX: sweep().costs, OVER_CABLE: LACKING})
    assert changed(sizes=without) == {("L3", OVER_CABLE): Verdict.NOT_TESTABLE}
    assert "nobody may mount here" in small_messages.show_elsewhere(without)


@pytest.mark.namespaces
@pytest.mark.parametrize("over", ["tcp", "unix", "veth"])
def test_messages_are_sent_over_every_kind_of_connection(over: Over) -> None:
    try:
        costs = small_sends(over, None, Plan((64, 5000), rounds=2))
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert {len(rounds) for by_size in costs.values() for rounds in by_size.values()} == {2}


def test_the_order_changes_between_the_last_dearer_and_the_next_cheaper_size() -> None:
    assert small_messages.change(sweep().costs) == (1024, 8192)
    assert small_messages.change(sweep(dearer_up_to=1 << 20).costs) is None
    assert small_messages.smallest_answer(sweep()) == 1
    assert small_messages.smallest_answer(sweep(dearer_up_to=0)) == 2


@pytest.mark.parametrize(
    ("direct", "answer"),
    [([1.1, 0.95, 1.02], 3), ([1.3, 2.9, 1.0], None), ([0.4, 0.98, 0.7], None)],
)
def test_alike_is_more_than_not_told_apart(direct: list[float], answer: int | None) -> None:
    costs = {**sweep().costs, DIRECT: {64: direct}, MAP: {64: [1.0, 1.0, 1.0]}}
    seen = SizeSweep(costs, "made up", True)
    assert small_messages.smallest_answer(seen) == answer
    assert bool(small_messages.unclear(seen)) is (answer is None)


def test_file_systems_of_this_machine_are_tried_or_say_why_not(tmp_path: Path) -> None:
    try:
        here, *mounted = try_file_systems(tmp_path, Size(1 << 20, 1))
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert here.name.endswith(", where the lab is")
    names = ["tmpfs", "overlay", *file_system_test.ON_LOOPS, *file_system_test.IN_PROGRAMS]
    assert [each.name for each in mounted] == names
    for each in (here, *mounted):
        assert each.detail
        assert len(each.warm_cpu_s_per_gib) == bool(each.verdict)
    in_memory, over_it, *_ = mounted
    assert [in_memory.cold_s_per_gib, over_it.cold_s_per_gib] == [[], []]


def test_who_may_mount_nothing_tries_what_is_mounted_anyway(tmp_path: Path) -> None:
    here, in_memory, *others = file_system_test.without_mounting(tmp_path, Size(1 << 20, 1), "no")
    assert here.verdict == "alias"
    assert (in_memory.name, in_memory.verdict or in_memory.detail) in (
        ("tmpfs", "alias"),
        ("tmpfs", "no"),
    )
    assert {(each.verdict, each.detail) for each in others} == {("", "no")}
    assert not list(tmp_path.iterdir())


# -- the exercises ---------------------------------------------------------------------------------


def by_medians(costs: Any) -> int:
    sizes = sorted(costs)
    won = [size for size in sizes if sorted(costs[size][1])[1] < sorted(costs[size][0])[1]]
    return min(won, default=-1)


def first_that_wins(costs: Any) -> int:
    won = [s for s in sorted(costs) if all(b < a for a, b in zip(*costs[s], strict=True))]
    return min(won, default=-1)


@pytest.mark.parametrize("answer", [by_medians, first_that_wins, lambda c: -1, min, lambda c: 7])
def test_wrong_functions_fail(lab_of: LabOf, answer: Any) -> None:
    for seed in range(3):
        grade, _ = grade_of(exercise_of("10.1"), answer, lab_of("10", seed))
        assert grade.state is State.FAILED


def test_no_right_share_fails_and_no_usual_mistake_passes(lab_of: LabOf) -> None:
    for seed in range(10_000):
        lab = lab_of("10", seed)
        direct, copying, under_tls = limits.prices(lab)
        extra = under_tls - direct
        right = (1 - (copying - direct) / extra) * 100
        assert limits_exercises._grade_share(right, lab).state is State.PASSED
        assert limits_exercises._grade_share(round(right), lab).state is State.PASSED
        for wrong in (right + 1.5, right / 100, 100 * (under_tls - copying) / under_tls, "much"):
            assert limits_exercises._grade_share(wrong, lab).state is State.FAILED


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ({"tls"}, "One is missing"),
        ({"card without sg"}, "One is missing"),
        ({"tls", "tmpfs"}, "Not tmpfs"),
        ({"tls", "64 bytes"}, "not yet a copy"),
        ({"nfs"}, "none of the five"),
        ("tls", "Answer with a set"),
    ],
)
def test_wrong_places_fail_with_a_hint(lab_of: LabOf, answer: Any, hint: str) -> None:
    grade, _ = grade_of(exercise_of("10.3"), answer, lab_of("10"))
    assert grade.state is State.FAILED
    assert hint in grade.words
