from __future__ import annotations

from pathlib import Path

import pytest

from zerocopy_lab.__main__ import main
from zerocopy_lab.measuring.racing import Course, Entry, why_not
from zerocopy_lab.measuring.recorded import load_outcomes

SMALL = ["race", "--mib", "1", "--fast", "--receivers", "tcp:touching"]


def test_a_race_prints_stores_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored, drawn = tmp_path / "race.json", tmp_path / "race.png"
    choice = ["--strategies", "sendfile,read_then_send", "--chunks", "4096,default"]
    assert main([*SMALL, *choice, "--json", str(stored), "--plot", str(drawn)]) == 0
    said = capsys.readouterr().out
    for label in ("sendfile 4 KiB", "sendfile at once", "read_then_send 64 KiB"):
        assert label in said
    assert "congestion control: " in said
    assert "0 passes over the bytes against 2" in said
    (outcome,) = load_outcomes(stored)
    assert len(outcome.samples) == 3 * 4
    assert outcome.host.text() in said
    assert drawn.read_bytes().startswith(b"\x89PNG")


def test_every_verdict_is_one_of_three(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--strategies", "sendfile,mmap_then_send", "--chunks", "65536"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (verdict,) = [line for line in lines if " < " in line]
    assert verdict.strip().startswith(("as expected", "contradicts theory", "inconclusive"))


def test_what_cannot_race_is_listed_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    course, entry = Course("unix", "splicing"), Entry("send_with_msg_zerocopy", 65536)
    assert why_not(entry, course)
    names = f"{entry.strategy},sendfile"
    small = ["race", "--mib", "1", "--fast", "--receivers", course.label]
    assert main([*small, "--strategies", names, "--chunks", "65536"]) == 0
    assert f"not here: {why_not(entry, course)}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--strategies", "teleport", "there are read_then_send"),
        ("--chunks", "big", "is no list of bytes"),
        ("--receivers", "tcp:eating", "there are tcp:touching"),
    ],
)
def test_a_wrong_option_names_the_choices(
    option: str, value: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["race", option, value])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_without_room_for_the_file_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, "--directory", str(tmp_path / "none")]) == 1
    assert "none" in capsys.readouterr().err


def test_more_than_half_of_the_memory_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "zerocopy_lab.measuring.racing.memory_for", lambda _bytes: lambda: "memory is too small"
    )
    assert main(SMALL) == 1
    assert "memory is too small" in capsys.readouterr().err
