"""The project's own Python environment in `.venv`: made once, quick to check ever after.

Standard library only, since this runs before anything is installed. `start.py` and `check.py`
begin here:

    python = environment.ready("requirements.txt")     # the interpreter that has all of it

`.venv/zerocopy_lab.json` notes what was installed: the interpreter's version, this directory
(environments cannot be moved), the hash of each requirements file. When the notes still hold,
nothing is done.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
NOTES = VENV / "zerocopy_lab.json"
INSTALL_LOG = VENV / "install.log"
OLDEST_PYTHON = (3, 11)

_SIGNS_OF_NO_NETWORK = (
    "Temporary failure in name resolution",
    "Name or service not known",
    "Failed to establish a new connection",
    "nodename nor servname provided",
    "ConnectTimeoutError",
    "Network is unreachable",
    "ProxyError",
)


def ready(*requirements: str) -> str:
    """Makes sure that `.venv` has what these files list, and returns its interpreter's path.

    Says on stderr what it does when there is something to do. Exits with a message when it cannot.
    """
    _refuse_old_python()
    wanted = {name: _sha256(ROOT / name) for name in requirements}
    installed = _installed()
    missing = [name for name, digest in wanted.items() if installed.get(name) != digest]
    if missing:
        if not installed:
            _make_venv()
        began = time.monotonic()
        for name in missing:
            _install(name)
        notes = {**_identity(), **installed, **wanted}
        NOTES.write_text(json.dumps(notes, indent=1) + "\n", encoding="utf-8")
        say(f"Ready after {time.monotonic() - began:.0f} s; later starts skip this.")
    return str(PYTHON)


def say(line: str) -> None:
    """Progress for people; stdout stays for results."""
    print(line, file=sys.stderr, flush=True)


def fail(message: str) -> NoReturn:
    """Ends with a message for people and exit code 1."""
    sys.exit(f"\n{message}")


def _refuse_old_python() -> None:
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        found = ".".join(map(str, sys.version_info[:3]))
        fail(
            f"zerocopy_lab needs Python {wanted} or newer, and {sys.executable} is {found}.\n"
            f"Start it with a newer one, for example: python{wanted} {' '.join(sys.argv)}"
        )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _identity() -> dict[str, str]:
    """What an environment cannot outlive: its interpreter's version and its place."""
    return {"python": _minor_version(), "place": str(VENV)}


def _minor_version() -> str:
    return ".".join(map(str, sys.version_info[:2]))


def _installed() -> dict[str, str]:
    """The notes of the last installation; empty when this interpreter cannot use it."""
    try:
        notes: dict[str, str] = json.loads(NOTES.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return {}
    still_valid = PYTHON.exists() and _identity().items() <= notes.items()
    return notes if still_valid else {}


def _make_venv() -> None:
    """A fresh `.venv`; what is there is replaced (unfinished, or another Python's)."""
    if importlib.util.find_spec("ensurepip") is None:
        fail(
            f"{sys.executable} cannot make virtual environments: its module ensurepip is missing.\n"
            "On Debian and Ubuntu: apt install python3-venv"
        )
    say(f"Making a Python {_minor_version()} environment in {VENV}")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=False)
    if made.returncode:
        fail(f"Could not make {VENV} (see above). Is the directory writable, the disk full?")
    _make_package_importable()


def _make_package_importable() -> None:
    """Lets `import zerocopy_lab` work from any directory, as an editable installation would."""
    site_packages = VENV / "lib" / f"python{_minor_version()}" / "site-packages"
    (site_packages / "zerocopy_lab.pth").write_text(f"{ROOT}\n", encoding="utf-8")


def _install(requirements: str) -> None:
    """Runs pip, showing how far it is; its whole output is kept for when it fails."""
    lines = (ROOT / requirements).read_text(encoding="utf-8").splitlines()
    total = sum("==" in line for line in lines)
    say(f"Installing {total} packages from {requirements}: a minute or two, once")
    pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check"]
    command = [*pip, "--progress-bar", "off", "-r", str(ROOT / requirements)]
    with (
        INSTALL_LOG.open("w", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PIP_REQUIRE_VIRTUALENV": "0"},
        ) as installing,
    ):
        assert installing.stdout is not None
        collected = 0
        for line in installing.stdout:
            log.write(line)
            if line.startswith("Collecting "):
                collected += 1
                _show_progress(collected, total, line.split()[1])
            elif line.startswith("Installing collected packages"):
                _show_progress(total, total, "unpacking them all")
    _end_progress()
    if installing.returncode:
        _explain_failure(installing.returncode)


def _show_progress(done: int, total: int, what: str) -> None:
    """One line that counts on a terminal; every 25th elsewhere, so that logs stay short."""
    text = f"  {min(done, total):3d}/{total} {what}"
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{text[:width]:<{width}}", end="", file=sys.stderr, flush=True)
    elif done % 25 == 0 or what.startswith("unpacking"):
        say(text)


def _end_progress() -> None:
    if sys.stderr.isatty():
        print(file=sys.stderr)


def _explain_failure(exit_code: int) -> NoReturn:
    output = INSTALL_LOG.read_text(encoding="utf-8")
    tail = "\n".join(output.splitlines()[-12:])
    if any(sign in output for sign in _SIGNS_OF_NO_NETWORK):
        fail(
            "The packages could not be fetched: no package registry answered.\n"
            "Is this machine on the network? Behind a proxy, set HTTPS_PROXY.\n"
            f"Everything pip said: {INSTALL_LOG}"
        )
    fail(f"{tail}\n\npip ended with exit code {exit_code}. Everything it said: {INSTALL_LOG}")
