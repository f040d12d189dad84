"""The alias test over a pair of cards whose abilities are switched: all yes or no, no clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring import another_python
from zerocopy_lab.measuring.card_test import ABILITIES, alias_test_by_abilities
from zerocopy_lab.measuring.card_test_of_broker import alias_test_of_answers
from zerocopy_lab.running import apache_kafka
from zerocopy_lab.running.running_broker import Kind


@pytest.mark.namespaces
def test_the_kernel_copies_when_the_card_cannot_gather_or_checksum() -> None:
    """With the card as it comes sendfile hands over references; every switch ends that."""
    try:
        verdicts = alias_test_by_abilities(["sendfile", "read_then_send"])
    except Unavailable as reason:
        pytest.skip(str(reason))
    able, *unable = ABILITIES
    assert {(v.abilities, v.strategy): v.verdict for v in verdicts} == {
        (able, "sendfile"): "alias",
        (able, "read_then_send"): "copied",
        **{(each, "sendfile"): "copied" for each in unable},
        **{(each, "read_then_send"): "copied" for each in unable},
    }


@pytest.mark.namespaces
@pytest.mark.parametrize(
    "kind", ["zerocopy_lab", pytest.param("kafka", marks=[pytest.mark.kafka, pytest.mark.slow])]
)
def test_so_it_does_with_a_brokers_answer(kind: Kind) -> None:
    if kind == "kafka" and (reason := apache_kafka.unavailable()):
        pytest.skip(reason)
    try:
        verdicts = alias_test_of_answers(kind)
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert [each.verdict for each in verdicts] == ["alias", "copied", "copied"]


def test_it_says_which_program_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(another_python, "programs_path", lambda: str(tmp_path))
    with pytest.raises(Unavailable, match="there is no unshare on the PATH"):
        alias_test_by_abilities(["sendfile"])


def test_it_says_why_no_namespace_could_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine that allows an ordinary user no namespaces."""
    refusal = "echo unshare: Operation not permitted >&2; exit 1"
    for name, words in (("unshare", refusal), ("ip", "")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{words}\n")
        program.chmod(0o755)
    monkeypatch.setattr(another_python, "programs_path", lambda: str(tmp_path))
    with pytest.raises(Unavailable, match="Operation not permitted"):
        alias_test_by_abilities(["sendfile"])
