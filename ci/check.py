"""Everything that must hold, in one command: `python3 ci/check.py`.

    python3 ci/check.py               all parts, in this order: lint, types, tests, labs, browser
    python3 ci/check.py lint types    only these
    python3 ci/check.py every-lab     what only runs by name: the browser tests of all labs
    python3 ci/check.py --list        what each part runs

A failing part does not keep the others from running. The exit code is 0 when all parts passed.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ci import environment
from ci.environment import ROOT

# What each part hands to the environment's interpreter.
PARTS: dict[str, tuple[str, ...]] = {
    "lint": ("-m", "ruff", "check", "."),
    "types": ("-m", "mypy"),
    # Three workers for two processors, since most tests wait for a broker; a file stays with one.
    "tests": ("-m", "pytest", "-m", "not browser", "-n", "3", "--dist", "loadfile"),
    "labs": ("-m", "zerocopy_lab", "labs", "run", "--fast", "--out", "out/check"),
    "browser": ("-m", "pytest", "-m", "browser and not every_lab"),
    "every-lab": ("-m", "pytest", "-m", "browser"),
}
BY_NAME = ("every-lab",)
"""The rest of the labs in the browser: minutes more, for what the labs' notebooks themselves do."""


class PartResult(NamedTuple):
    """How one part ended."""

    part: str
    exit_code: int
    seconds: float


def main() -> int:
    """Run the parts that were asked for, then say how each ended."""
    wanted = parse_arguments()
    python = environment.ready("requirements.txt", "requirements-test.txt")
    results = [run(part, python) for part in wanted]
    print("\n" + "=" * 60)
    for part, exit_code, seconds in results:
        verdict = "passed" if exit_code == 0 else f"FAILED (exit code {exit_code})"
        print(f"{part:8}{seconds:7.1f} s   {verdict}")
    failed = [result.part for result in results if result.exit_code]
    total = sum(result.seconds for result in results)
    verdict = f"FAILED: {', '.join(failed)}" if failed else "all passed"
    print(f"{'total':8}{total:7.1f} s   {verdict}")
    return 1 if failed else 0


def parse_arguments() -> list[str]:
    """The parts to run, in the order of PARTS."""
    parser = argparse.ArgumentParser(description="Check everything, or only the parts named.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--list", action="store_true", help="show what each part runs")
    arguments = parser.parse_args()
    unknown = [part for part in arguments.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if arguments.list:
        for part, command in PARTS.items():
            print(f"{part:8}.venv/bin/python {shlex.join(command)}")
        sys.exit(0)
    named = arguments.parts or [part for part in PARTS if part not in BY_NAME]
    return [part for part in PARTS if part in named]


def run(part: str, python: str) -> PartResult:
    """Runs one part with its output as it comes; Ctrl-C waits for it to clean up."""
    print(f"\n=== {part}: {shlex.join(PARTS[part])}", flush=True)
    began = time.monotonic()
    own = {"JUPYTER_PREFER_ENV_PATH": "1", "PYTHONUNBUFFERED": "1"}
    variables = {**environment.variables(), **own}
    with subprocess.Popen([python, *PARTS[part]], cwd=ROOT, env=variables) as running:
        try:
            exit_code = running.wait()
        except KeyboardInterrupt:
            running.wait()  # it got the signal too
            raise
    return PartResult(part, exit_code, time.monotonic() - began)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
