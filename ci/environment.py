"""The project's own Python environment in `.venv`: made once, quick to check ever after.

Standard library only, since this runs before anything is installed. `start.py` and `check.py`
begin here:

    python = environment.ready("requirements.txt")     # the interpreter that has all of it
    variables = environment.variables()                # what it is started with

`.venv/zerocopy_lab.json` notes what was installed: the interpreter's version, this directory
(environments cannot be moved), the hash of each requirements file. When the notes still hold,
nothing is done. A file is noted only when all that it lists was found in the environment.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
NOTES = VENV / "zerocopy_lab.json"
INSTALL_LOG = VENV / "install.log"
OLDEST_PYTHON = (3, 11)
NEWEST_TRIED = (3, 13)

# Of pip's settings those that say where packages come from. Others say where they go, which is
# decided here.
_SOURCES_OF_PACKAGES = {
    "cache-dir",
    "cert",
    "client-cert",
    "default-timeout",
    "extra-index-url",
    "find-links",
    "index-url",
    "keyring-provider",
    "no-cache-dir",
    "no-index",
    "proxy",
    "retries",
    "timeout",
    "trusted-host",
}
# What would have another Python, or another's packages, come before the environment's.
_MISLEADING = ("PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE", "PYTHONSTARTUP", "PYTHONPLATLIBDIR")

# Looks every pinned package up and imports the kit, in the environment.
_PROBE = """
import importlib.metadata, sys
wanted = dict(word.split("==") for word in sys.argv[1:])
for name, version in wanted.items():
    found = importlib.metadata.version(name)
    if found != version:
        sys.exit(f"{name} {found} is there instead of {version}")
import kio, zerocopy_lab.__main__
"""

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
            _mention_untried_python()
            _make_venv()
        began = time.monotonic()
        for name in missing:
            _install(name)
            _probe(name)
        notes = {**_identity(), **installed, **wanted}
        NOTES.write_text(json.dumps(notes, indent=1) + "\n", encoding="utf-8")
        say(f"Ready after {time.monotonic() - began:.0f} s; later starts skip this.")
    return str(PYTHON)


def variables() -> dict[str, str]:
    """The environment variables for programs of the environment: nothing that would let other
    packages in, UTF-8 whatever the locale, and a home that can be written to.
    """
    cleared = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    cleared["PYTHONUTF8"] = "1"
    if (own := _own_home()) is not None:
        cleared["HOME"] = str(own)
    return cleared


@cache
def _own_home() -> Path | None:
    """A directory for the settings of Jupyter and its like, where the user has none."""
    home = Path(os.path.expanduser("~"))
    if home.is_dir() and os.access(home, os.W_OK):
        return None
    own = ROOT / "out" / "home"
    say(f"The home directory ({home}) cannot be written to: settings go to {own}")
    own.mkdir(parents=True, exist_ok=True)
    return own


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


def _mention_untried_python() -> None:
    if sys.version_info[:2] > NEWEST_TRIED:
        oldest, newest = (".".join(map(str, version)) for version in (OLDEST_PYTHON, NEWEST_TRIED))
        say(
            f"Going on with Python {_minor_version()}, although only {oldest} to {newest} were "
            f"tried: should the packages fail to install, start with python{newest} instead."
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
    _refuse_unfit_directory()
    say(f"Making a Python {_minor_version()} environment in {VENV}")
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    made = subprocess.run(command, check=False, env=variables())
    if made.returncode:
        fail(f"Could not make {VENV} (see above). Is the disk full?")
    _make_package_importable()


def _refuse_unfit_directory() -> None:
    """Environments need symbolic links, which shared folders and some sticks do not have."""
    probe = ROOT / f".symlink-{os.getpid()}"
    try:
        probe.symlink_to("nowhere")
        probe.unlink()
    except OSError as error:
        elsewhere = f"Copy all of it to a directory of your own and start there ({error})."
        if os.access(ROOT, os.W_OK):
            fail(f"{ROOT} is on a file system without symbolic links. {elsewhere}")
        fail(f"{ROOT} cannot be written to. {elsewhere}")


def _make_package_importable() -> None:
    """Lets `import zerocopy_lab` work from any directory, as an editable installation would.

    Python reads such a file in the locale's encoding, so it holds ASCII only: code that makes the
    path, in place of the path.
    """
    site_packages = VENV / "lib" / f"python{_minor_version()}" / "site-packages"
    line = f"import os, sys; sys.path.append(os.fsdecode({os.fsencode(ROOT)!r}))\n"
    (site_packages / "zerocopy_lab.pth").write_text(line, encoding="ascii")


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
            env=_variables_for_pip(),
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


def _variables_for_pip() -> dict[str, str]:
    """What the learner's settings say of where packages come from, and nothing else of them: with
    `user = true` or a target, packages would go to some other place.
    """
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "config", "list"]
    here = {**variables(), "PIP_USER": "0"}  # else `user = true` lists the user's own file only
    listed = subprocess.run(pip, check=False, capture_output=True, text=True, env=here)
    chosen = {n: v for n, v in variables().items() if not n.startswith("PIP_")}
    for section in ("global.", "install.", ":env:."):  # the later go before the earlier
        for line in listed.stdout.splitlines():
            name, _, value = line.partition("=")
            option = name.removeprefix(section)
            if option in _SOURCES_OF_PACKAGES:
                chosen[f"PIP_{option.upper().replace('-', '_')}"] = ast.literal_eval(value)
    return {**chosen, "PIP_CONFIG_FILE": os.devnull}


def _probe(requirements: str) -> None:
    """Makes sure that what pip said it installed is where the environment looks for it."""
    lines = (ROOT / requirements).read_text(encoding="utf-8").splitlines()
    pinned = [line.strip() for line in lines if "==" in line and ";" not in line]
    command = [str(PYTHON), "-c", _PROBE, *pinned]
    found = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=VENV, env=variables()
    )
    if found.returncode:
        said = found.stderr.strip().splitlines()
        fail(
            f"pip has installed {requirements}, but not into {VENV}: {said[-1] if said else ''}\n"
            f"Is there a setting of pip that says where to? Everything it said: {INSTALL_LOG}"
        )


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
