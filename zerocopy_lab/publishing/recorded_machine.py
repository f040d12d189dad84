"""Records a machine for data/machines: all labs in fast mode, their evidence as it was written.

    python -m zerocopy_lab labs record-machine cubic --congestion-control cubic     (as root)

One machine can be several: another congestion control holds in a network namespace of its own, and
another user has fewer rights. What makes them is this module run as a program, which then
runs them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from zerocopy_lab.classroom.evidence_file import evidence_path
from zerocopy_lab.classroom.manifest import lab_entry
from zerocopy_lab.classroom.manifest import labs as every_lab
from zerocopy_lab.publishing.headless import run_lab
from zerocopy_lab.publishing.reference_run import SEED, CannotRecord
from zerocopy_lab.running.running_broker import importable_here
from zerocopy_lab.running.scratch import ScratchDirectory
from zerocopy_lab.verdict.machines import MACHINES_DIR
from zerocopy_lab.verdict.results import read_results

_GOOD = "good"
"""Where the evidence of labs lies in which nothing went wrong."""
_CONGESTION_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")


def record_machine(
    name: str, congestion_control: str | None, uid: int | None, labs: Sequence[str] = ()
) -> Path:
    """Runs all labs, or these, says how each went, and keeps the evidence of those in which nothing
    went wrong and something was found; its directory. Raises CannotRecord.
    """
    if not re.fullmatch(r"\w[\w ,.-]*", name):
        raise CannotRecord(f"{name!r} is to be the name of a directory")
    if (congestion_control or uid) and os.geteuid() != 0:
        raise CannotRecord("another congestion control or another user: as root only")
    with ScratchDirectory("machine") as scratch:
        if uid is not None:
            os.chown(scratch.path, uid, -1)
        apart = ["unshare", "--net"] if congestion_control else []
        done = subprocess.run(
            [
                *(*apart, sys.executable, "-m", "zerocopy_lab.publishing.recorded_machine"),
                *(str(scratch.path), congestion_control or "", "" if uid is None else str(uid)),
                *labs,
            ],
            env=importable_here({}),
            check=False,
        )
        if done.returncode:
            raise CannotRecord("the machine could not be made, or not one lab went well")
        return _keep(name, scratch.path / _GOOD, is_whole=not labs)


def _keep(name: str, evidence: Path, *, is_whole: bool) -> Path:
    """In place of what was recorded under this name before; else in place of the same labs."""
    paths = sorted(evidence.glob("*.json"))
    results, refused = read_results(paths)
    if refused:
        raise CannotRecord(f"{refused[0].name}: {refused[0].reason}")
    with_findings = [path for path in paths if results[path.name[:2]].findings]
    kept = MACHINES_DIR / name
    if is_whole:
        shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True, exist_ok=True)
    for path in with_findings:
        shutil.copyfile(path, kept / path.name)
    return kept


def _become(scratch: str, congestion_control: str, uid: str, *labs: str) -> None:
    """Makes this process the machine, and runs the labs on it; exits with 1 when none went well."""
    if congestion_control:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        _CONGESTION_CONTROL.write_text(congestion_control)
    if uid:
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))
    os.environ["HOME"] = scratch
    out, good = Path(scratch, "out"), Path(scratch, _GOOD)
    good.mkdir()
    for entry in map(lab_entry, labs or every_lab()):
        run = run_lab(entry, out, fast=True, seed=SEED)
        problems = [run.skipped] if run.skipped else run.problems
        print(entry.id, "; ".join(problems) or f"all right, {run.seconds:.1f} s", flush=True)
        if not problems:
            shutil.copy(evidence_path(out, entry), good)
    sys.exit(not any(good.iterdir()))


if __name__ == "__main__":
    _become(*sys.argv[1:])
