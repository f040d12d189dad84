"""Kills the broker thousands of times, has its disks fail, and looks for what got lost.

    python -m ci.torture [--kills 2000] [--faults 2000] [--jobs N] [--seed 1] [--seconds S]

Kills come under load, inside the creation, deletion and alteration of topics, in the first commit
ever, while the broker stops (SIGTERM, then SIGKILL) and while it recovers from the last one: half
of them at random moments, the others at a file operation that is chosen. Faults are what system
calls can end in: no room (ENOSPC, EDQUOT), a device error (EIO), no descriptor or memory (EMFILE,
ENFILE, ENOMEM), a signal (EINTR), half of what was asked for. Both need a C compiler, for a
library that is preloaded into the broker (`shim.c`); without one, kills are random and there are no
faults. Several brokers are tortured at the same time, each in a rig of its own (`rig.py`).

A killed process leaves its page cache behind. So whatever the moment, nothing that was acknowledged
may be missing, be there twice or out of order; a topic is there with its settings, or it is not;
committed offsets never step back, and go with their topic; no producer gets another's id; no log
may fail `verify`, and the broker always starts again. (What a power cut may take is another matter,
and another test.)

Prints its figures. At the first thing that is wrong it stops with exit code 1, says which rig it
was, and the directory is kept.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from ci.torture.ledger import Wrong
from ci.torture.plan import NoCompiler, Plan, build
from ci.torture.rig import KILLS, Rig

ROOT = Path(__file__).resolve().parents[2]
NOTHING_OF = (
    "records lost, doubled or out of order",
    "topics or settings lost",
    "committed offsets gone back or inherited",
    "logs that fail verify",
    "starts that failed",
)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ci.torture", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--kills", type=int, default=2_000)
    parser.add_argument("--faults", type=int, default=2_000)
    parser.add_argument("--jobs", type=int, default=(os.cpu_count() or 1) + 1, help="brokers")
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop earlier than that")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--dir", type=Path, help="where to work (default: a temporary directory)")
    parser.add_argument("--only", default="", metavar="KIND", help=f"of kills: {', '.join(KILLS)}")
    parser.add_argument("--rig", type=int, help="only this one of them, to find out more")
    options = parser.parse_args()
    if options.rig is not None and Plan.can_be_followed():
        return run_rig(options)
    options.dir = options.dir or Path(tempfile.mkdtemp(prefix="zerocopy-lab-torture-"))
    options.dir.mkdir(parents=True, exist_ok=True)
    if run_all(options):
        print(f"the files are in {options.dir}")
        return 1
    shutil.rmtree(options.dir)
    return 0


def run_all(options: argparse.Namespace) -> int:
    """All rigs at the same time; how many found something wrong. The first ends the others."""
    began = time.monotonic()
    environment = dict(os.environ)
    try:
        environment["LD_PRELOAD"] = str(build(options.dir))
    except NoCompiler as missing:
        print(f"{missing}: kills at random moments only, and no faults")
        options.faults = 0
    rigs = []
    for number in range(options.jobs) if options.rig is None else [options.rig]:
        words = [sys.executable, "-m", "ci.torture", "--rig", str(number)]
        for name in ("kills", "faults", "jobs", "seconds", "seed", "only", "dir"):
            words += [f"--{name}", str(getattr(options, name))]
        rigs.append(
            subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        )
    figures: Counter[str] = Counter()
    with ThreadPoolExecutor(len(rigs)) as threads:
        for done in as_completed([threads.submit(_watch, rig, figures) for rig in rigs]):
            if done.result():
                for rig in rigs:
                    rig.terminate()
    for meaning, count in sorted(figures.items()):
        print(f"{count:>12,}  {meaning}")
    found_wrong = [rig.returncode for rig in rigs].count(1)
    for nothing in () if found_wrong else NOTHING_OF:
        print(f"{0:>12,}  {nothing}")
    print(f"{time.monotonic() - began:>12,.0f}  seconds, seed {options.seed}")
    return found_wrong


def _watch(rig: subprocess.Popen[str], figures: Counter[str]) -> bool:
    """Adds up what a rig says; whether it found something wrong."""
    assert rig.stdout is not None
    for line in rig.stdout:
        if line.startswith("{"):
            figures.update(json.loads(line))
        else:
            print(line, end="", flush=True)
    return rig.wait() == 1


def run_rig(options: argparse.Namespace) -> int:
    """This process's share of it."""
    number: int = options.rig
    kills, faults = (
        total // options.jobs + (number < total % options.jobs)
        for total in (options.kills, options.faults)
    )
    directory = options.dir / f"rig-{number}"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    plan = Plan() if Plan.can_be_followed() else None
    seed = f"{options.seed} {number}"
    rig = Rig(directory, seed, disks=1 + number % 2, plan=plan, only=options.only)
    chance = random.Random(seed)
    end = time.monotonic() + options.seconds
    try:
        while time.monotonic() < end:
            kills_left, faults_left = kills - rig.figures["kills"], faults - rig.figures["faults"]
            if kills_left <= 0 and faults_left <= 0:
                break
            if chance.random() * (max(kills_left, 0) + max(faults_left, 0)) < kills_left:
                rig.kill()
            else:
                rig.fail(faults_left)
        rig.finish()
    except Exception as error:
        if not isinstance(error, Wrong):
            traceback.print_exc()
        print(f"WRONG in rig {number} of {options.jobs}, seed {options.seed}", end="")
        print(f" after {rig.figures['kills']} kills and {rig.figures['faults']} faults.")
        print(f"Before that: {rig.history()}\n{type(error).__name__}: {error}", flush=True)
        return 1
    finally:
        print(json.dumps(rig.figures), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
