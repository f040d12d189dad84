from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from zerocopy_lab.__main__ import main
from zerocopy_lab.transfer import strategies

LESSER_MACHINE = Path(__file__).with_name("lesser_machine.py")
ROOT = Path(__file__).resolve().parents[2]
A_MAC = ROOT / "tests" / "a_mac"

IS_ROOT = os.geteuid() == 0
WORLDS = ["", "cachestat", "perf", "strace", "perf,strace", "linux"]
WORLDS_FOR_ROOT = ["root", "root,cachestat,perf,strace"] if IS_ROOT else []


def run_in(world: str, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line on a machine without what `world` names; on a Mac, without "linux"."""
    directory.chmod(0o777)
    path = [str(ROOT)]
    if world == "linux":
        world, path = "perf,strace", [str(A_MAC), *path]
    return subprocess.run(
        [sys.executable, str(LESSER_MACHINE), world, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.fixture
def rows_in(open_path: Path) -> Any:
    def examine(world: str) -> dict[tuple[str, str], dict[str, Any]]:
        done = run_in(world, open_path, "doctor", "--json", "--directory", str(open_path))
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        found = json.loads(done.stdout)["rows"]
        return {(row["question"], row["how"]): row for row in found}

    return examine


@pytest.mark.parametrize("world", [*WORLDS, *WORLDS_FOR_ROOT])
def test_what_is_missing_has_a_reason_and_a_remedy(world: str, rows_in: Any) -> None:
    rows = rows_in(world or "perf")
    for row in rows.values():
        assert row["evidence"] in ("PROVED", "COUNTED", "TIMED")
        assert row["why_not"] is None or row["why_not"].strip()
        assert row["remedy"].strip()
        assert row["trap"].strip()
        assert not (row["answer"] and row["why_not"]), "an answer and a refusal at once"
    assert any(row["why_not"] is None for row in rows.values())


@pytest.mark.parametrize(
    ("world", "instrument", "reason"),
    [
        ("perf", "perf stat", "no perf on PATH"),
        ("strace", "strace -c -f", "no strace on PATH"),
        ("perf", "perf, skb:skb_copy_datagram_iovec", "no perf on PATH"),
        ("cachestat", "cachestat", "Linux 6.5"),
        ("linux", "mincore", "darwin"),
        ("linux", "sched_setaffinity", "no process choose"),
        ("linux", "/proc/meminfo", "darwin"),
    ],
)
def test_each_loss_is_named(world: str, instrument: str, reason: str, rows_in: Any) -> None:
    reasons = [row["why_not"] for (_q, how), row in rows_in(world).items() if how == instrument]
    assert reasons
    assert all(reason in str(why) for why in reasons)


@pytest.mark.skipif(not IS_ROOT, reason="needs root, to give it up")
def test_an_ordinary_user_can_prove_as_much_as_root(rows_in: Any) -> None:
    """Only the meters that trace the kernel are for root alone."""
    as_root, as_nobody = rows_in("perf"), rows_in("perf,root")
    lost = {
        how
        for (question, how), row in as_nobody.items()
        if row["why_not"] and not as_root[question, how]["why_not"]
    }
    assert lost <= {"/proc/PID/io"}, "a process that gave up root may not read its own"
    answers = {key: row["answer"] for key, row in as_root.items() if row["how"] == "alias test"}
    assert answers == {key: as_nobody[key]["answer"] for key in answers}


def test_the_table_has_a_line_for_every_strategy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["doctor", "--traps", "--directory", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert all(f"does {name} copy" in said for name in strategies())
    assert "can be done here, now, by this user" in said
    assert "trap: " in said
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_used(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["doctor", "--directory", str(tmp_path / "none")]) == 2
    assert "cannot make files" in capsys.readouterr().out
