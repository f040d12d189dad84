"""The steps of the Dockerfile in a chroot, where there is no Docker: `python -m ci.image DIR`.

    python -m ci.image DIR                          make the image's tree in DIR, which is new
    python -m ci.image DIR --run "COMMAND"          then, or in a tree that is there, run a command

Debian's own debootstrap gives what FROM names (that takes root, and leave to mount); RUN, COPY,
ENV, WORKDIR and USER do what they say; CMD is for `--run`. Anything else in the Dockerfile is
refused, so that what was tried here is what is written there. /proc and a small /dev/shm are there
while something runs.

Left out: layers, the seccomp filter and the cgroups that Docker puts around a container.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
_FROM = re.compile(r"debian:(\w+)-slim AS \w+|\w+ AS \w+")
_SILENT = {"EXPOSE"}


class Step(NamedTuple):
    """One line of the Dockerfile."""

    verb: str
    words: str


def steps_of(dockerfile: str) -> Iterator[Step]:
    """Its steps in order, without comments. ValueError for a verb that is not known here."""
    for line in dockerfile.splitlines():
        if line.strip() and not line.startswith("#"):
            verb, _, words = line.partition(" ")
            if verb not in {"FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "CMD", *_SILENT}:
                raise ValueError(f"no way to do {verb} in a chroot")
            yield Step(verb, words)


class Tree:
    """A directory that becomes the image, and what the steps so far have set."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"]
        self.workdir, self.user, self.command = "/", "root", ""

    def do(self, step: Step, *, is_made: bool) -> None:
        """Carries a step out; in a tree that is made already only what it sets. Raises
        CalledProcessError, ValueError.
        """
        match step.verb:
            case "ENV":
                self.environment += shlex.split(step.words)
            case "WORKDIR":
                self.workdir = step.words
                self._inside(self.workdir).mkdir(parents=True, exist_ok=True)
            case "USER":
                self.user = step.words
            case "CMD":
                self.command = step.words
            case "FROM" | "COPY" | "RUN" if not is_made:
                {"FROM": self._from, "COPY": self._copy, "RUN": self.run}[step.verb](step.words)

    def _inside(self, path: str) -> Path:
        return self.directory / Path(self.workdir, path).relative_to("/")

    def _from(self, words: str) -> None:
        found = _FROM.fullmatch(words)
        if found is None:
            raise ValueError(f"no way to begin with {words!r}")
        if found[1]:
            made = ["debootstrap", "--variant=minbase", found[1], str(self.directory)]
            subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
            if certificates := os.environ.get("PIP_CERT"):  # of a proxy that this machine is behind
                shutil.copy(certificates, self.directory / "opt" / "certificates.pem")
                self.environment += ["PIP_CERT=/opt/certificates.pem"]

    def _copy(self, words: str) -> None:
        source, target = words.split()
        if (ROOT / source).is_dir():
            unwanted = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, self._inside(target), ignore=unwanted)
        else:
            shutil.copy(ROOT / source, self._inside(target))

    def run(self, command: str) -> None:
        """A shell's command in the tree, as its user, in a mount namespace with /proc, /sys and a
        small /dev/shm, as Docker has it.
        """
        home = 'export HOME="$(getent passwd "$(id -u)" | cut -d: -f6)"'
        inside = f"{home}; cd {self.workdir}; {command}"
        there = shlex.join(["env", "-i", *self.environment, "sh", "-ec", inside])
        lines = [
            f"cd {shlex.quote(str(self.directory))}",
            "mount -t proc proc proc && mount -t sysfs -o ro sysfs sys",
            "mkdir -p dev/shm && mount -t tmpfs -o size=64m,mode=1777 tmpfs dev/shm",
            f"exec chroot --userspec={self.user} . {there}",
        ]
        subprocess.run(["unshare", "--mount", "sh", "-ec", "\n".join(lines)], check=True)


def main() -> int:
    """Makes the tree, or goes on in it; the exit code of the command."""
    parser = argparse.ArgumentParser(description="The steps of the Dockerfile in a chroot.")
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--run", metavar="COMMAND", help="what to run in it, as its user")
    arguments = parser.parse_args()
    tree, is_made = Tree(arguments.directory), arguments.directory.exists()
    try:
        for step in steps_of((ROOT / "Dockerfile").read_text(encoding="utf-8")):
            print(f"{step.verb} {step.words}", file=sys.stderr, flush=True)
            tree.do(step, is_made=is_made)
        if arguments.run:
            tree.run(arguments.run)
    except subprocess.CalledProcessError as failure:
        return failure.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
