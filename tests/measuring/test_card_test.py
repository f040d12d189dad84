"""The alias test over a pair of cards whose abilities are switched: all yes or no, no clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring import card_test
from zerocopy_lab.measuring.card_test import ABILITIES, alias_test_by_abilities


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


def test_it_says_which_program_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card_test, "_path", lambda: str(tmp_path))
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
    monkeypatch.setattr(card_test, "_path", lambda: str(tmp_path))
    with pytest.raises(Unavailable, match="Operation not permitted"):
        alias_test_by_abilities(["sendfile"])
