"""Start here: `python3 ci/start.py` opens the labs in your browser.

The first start makes the environment (.venv, a minute or two); later ones take seconds.

    python3 ci/start.py                      JupyterLab on the first lab
    python3 ci/start.py --no-browser         the same, and you open the address it prints
    python3 ci/start.py --headless           run every lab without a browser and write a report
    python3 ci/start.py --headless --fast    the same with less data: four minutes instead of twenty

The process becomes JupyterLab or the runner, so that Ctrl-C and the exit code are theirs.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ci import environment
from ci.environment import ROOT

# Settings that keep JupyterLab from asking for news, updates and extensions (nothing here needs a
# network), and from asking whether Ctrl-C is meant. A learner's own settings go before them.
JUPYTERLAB_SETTINGS = ROOT / "ci" / "jupyter"


def main() -> None:
    """Prepare the environment, then become what was asked for."""
    arguments = parse_arguments()
    python = environment.ready("requirements.txt")
    os.chdir(ROOT)
    refuse_read_only_directory(arguments)
    variables = environment.variables()
    variables["JUPYTER_PREFER_ENV_PATH"] = "1"  # our kernel, not one of the same name at home
    variables["JUPYTER_CONFIG_PATH"] = str(JUPYTERLAB_SETTINGS)
    if arguments.headless:
        words = ["-m", "zerocopy_lab", "labs", "run", *runner_options(arguments)]
    else:
        words = ["-m", "jupyterlab", *jupyterlab_options(arguments)]
    become(variables, python, *words)


def refuse_read_only_directory(arguments: argparse.Namespace) -> None:
    """Labs are worked on in place; only a headless run can leave what it makes elsewhere."""
    if not os.access(ROOT, os.W_OK) and not arguments.out:
        environment.fail(
            f"{ROOT} cannot be written to, and the labs are saved there. Copy all of it to a "
            "directory of your own and start there; or add --headless --out DIR."
        )


def parse_arguments() -> argparse.Namespace:
    """The command line; options that do not belong together are refused."""
    parser = argparse.ArgumentParser(
        description="Open the labs in JupyterLab, or run them all without a browser."
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address, open nothing")
    parser.add_argument("--port", type=int, help="JupyterLab's port (8888, or the next free)")
    parser.add_argument("--headless", action="store_true", help="run every lab, write a report")
    parser.add_argument("--fast", action="store_true", help="with --headless: less data")
    parser.add_argument("--out", metavar="DIR", help="with --headless: where the report goes")
    arguments = parser.parse_args()
    if arguments.headless and (arguments.no_browser or arguments.port is not None):
        parser.error("--no-browser and --port are for JupyterLab, --headless runs without it")
    if not arguments.headless and (arguments.fast or arguments.out):
        parser.error("--fast and --out need --headless (in a notebook, set FAST and OUT_DIR)")
    return arguments


def runner_options(arguments: argparse.Namespace) -> list[str]:
    """Options of `zerocopy_lab labs run`. DIR is meant from where the learner stands."""
    options = ["--fast"] if arguments.fast else []
    if arguments.out:
        options += ["--out", os.path.join(START_DIRECTORY, arguments.out)]
    return options


def jupyterlab_options(arguments: argparse.Namespace) -> list[str]:
    """JupyterLab on the whole project (labs read better beside the code), showing the first lab."""
    labs = sorted(ROOT.glob("labs/[0-9][0-9]_*.ipynb"))
    if not labs:
        environment.fail(f"No labs in {ROOT / 'labs'}: is this checkout complete?")
    first_lab = labs[0].relative_to(ROOT).as_posix()
    options = [f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url=/lab/tree/{first_lab}"]
    options += ["--Application.log_level=WARN"]  # the address, and what goes wrong
    if arguments.no_browser:
        options += ["--no-browser"]
    if arguments.port is not None:
        options += [f"--ServerApp.port={arguments.port}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options += ["--allow-root"]  # containers; it listens on the loopback address only
    return options


def become(variables: dict[str, str], *command: str) -> NoReturn:
    """Replaces this process, and its environment variables."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, variables)


START_DIRECTORY = os.getcwd()

if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
