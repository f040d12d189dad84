"""The figures that are published: one file, and what is made of it.

    python -m ci.bench --publish            takes them anew, under two congestion controls

    data/bench.json                         all of them, with their conditions
    docs/figures.md                         the same for people
    README.md, between two comments         those that users feel most

A test holds the two texts (`pages`) against the file. The second congestion control is another
network namespace's (`unshare --net`, root or a user namespace of one's own): Kafka's sockets cannot
be told. Where the system's default does not pace, or no namespace can be had, there is one run.
Before the file is written the new figures are held against those that are there (`agreement`).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from ci.bench.agreement import agreement
from ci.bench.conditions import congestion_control
from ci.bench.figures import Figures, load, save
from ci.bench.pages import PAGE, PROJECT, README, write_texts

FILE = PROJECT / "data" / "bench.json"
_ALLOWED = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")

UNDER_BOTH = ("kafka", "fetch", "produce")
"""Sections in which congestion control matters."""


def publish(sections: Iterable[str], rounds: int, workspace: Path) -> None:
    """Take the figures, write the file, write the texts. A section that fails is missing there, and
    named in the SystemExit at the end.
    """
    places: list[tuple[str, list[str], list[str]]] = [("default", [], [*sections])]
    other = _other_control()
    if other is None:
        print("one congestion control: the system's does not pace, or no other one may be chosen")
    elif (prefix := _namespace_with(other)) is None:
        print(f"one congestion control: no network namespace for {other} can be had here")
    else:
        places.append((other, prefix, [name for name in sections if name in UNDER_BOTH]))
    runs, failed = [], []
    for control, words, names in places:
        parts = [_taken(words, name, rounds, workspace / f"{control}-{name}") for name in names]
        failed += [
            f"{name} ({control})" for name, part in zip(names, parts, strict=True) if not part
        ]
        found = [part for part in parts if part is not None]
        if found:
            runs.append(Figures(found[0].conditions, [row for part in found for row in part.rows]))
    if not runs:
        raise SystemExit("no section was measured, and nothing is written")
    if FILE.exists():
        print(agreement(runs, load(FILE)))
    save(runs, FILE)
    write_texts(runs)
    print(*("written:", *(path.relative_to(PROJECT) for path in (FILE, PAGE, README))))
    if failed:
        raise SystemExit(f"failed, and missing there: {', '.join(failed)}")


def _taken(prefix: list[str], section: str, rounds: int, file: Path) -> Figures | None:
    """The figures of one section, taken by a process of its own; None when that failed."""
    words = [sys.executable, "-m", "ci.bench", section, "--rounds", str(rounds)]
    done = subprocess.run([*prefix, *words, "--save", str(file)], cwd=PROJECT, check=False)
    return None if done.returncode else load(file)[0]


def _other_control() -> str | None:
    """One that does not pace, where the system's does."""
    if not congestion_control().startswith("bbr") or not _ALLOWED.exists():
        return None
    allowed = _ALLOWED.read_text().split()
    return next((name for name in ("cubic", "reno") if name in allowed), None)


def _namespace_with(control: str) -> list[str] | None:
    """Words to put before a command, so that it runs where `control` is the default."""
    inside = f"ip link set lo up && sysctl -qw net.ipv4.tcp_congestion_control={control}"
    for flags in (["--net"], ["--net", "--map-root-user"]):
        words = ["unshare", *flags, "sh", "-c", f'{inside} && exec "$@"', "sh"]
        if shutil.which("unshare") and not subprocess.run([*words, "true"], check=False).returncode:
            return words
    return None
