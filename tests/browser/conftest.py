"""A JupyterLab and a Chromium, as a learner has them, for tests that look at the labs' live side.

JupyterLab runs on a copy of the labs, with the settings of ci/start.py and a home of its own;
Chromium is whichever the system has (nothing is downloaded). One window of it serves all tests:
loading JupyterLab takes as long as running a lab.

With ZEROCOPY_LAB_SCREENSHOTS=DIR in the environment a picture of each lab is kept there, to be
looked at.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from playwright.sync_api import Browser, sync_playwright

from ci.start import JUPYTERLAB_SETTINGS
from tests.browser.notebook_page import HEIGHT_PX, WIDTH_PX, Window
from zerocopy_lab.checkout import LABS_DIR

ROOT = LABS_DIR.parent
SCREENSHOTS = os.environ.get("ZEROCOPY_LAB_SCREENSHOTS")
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
START_TIMEOUT_S = 60


class JupyterLab(NamedTuple):
    """A running server: where it is, and the directory it shows."""

    address: str
    token: str
    directory: Path

    @property
    def url(self) -> str:
        """Its page."""
        return f"{self.address}lab?token={self.token}"


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLab]:
    """A server on a free port of the loopback address, ended with its kernels."""
    home = tmp_path_factory.mktemp("jupyter")
    directory = tmp_path_factory.mktemp("labs")
    shutil.copytree(LABS_DIR, directory, dirs_exist_ok=True)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", "--Application.log_level=WARN"]
    command += [f"--ServerApp.root_dir={directory}", "--LabApp.expose_app_in_browser=True"]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment(home), stdout=log, stderr=log)
    try:
        facts = wait_for_server(server, home)
        yield JupyterLab(facts["url"], facts["token"], directory)
    finally:
        end(server)


def end(server: subprocess.Popen[bytes]) -> None:
    """Asks the server to end, which ends its kernels; what is still busy then is killed."""
    family = psutil.Process(server.pid).children(recursive=True)
    server.terminate()
    _, still_there = psutil.wait_procs([*family, psutil.Process(server.pid)], timeout=20)
    for process in still_there:
        process.kill()
    server.wait()


def environment(home: Path) -> dict[str, str]:
    """What the server and its kernels inherit: nothing of this account's own settings."""
    return {
        **os.environ,
        "JUPYTER_CONFIG_PATH": str(JUPYTERLAB_SETTINGS),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": str(ROOT),
    }


def wait_for_server(server: subprocess.Popen[bytes], home: Path) -> dict[str, str]:
    """The server's own note about itself, which it writes when it listens."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert server.poll() is None, f"JupyterLab ended: {(home / 'log').read_text()}"
        for note in (home / "runtime").glob("jpserver-*.json"):
            facts: dict[str, str] = json.loads(note.read_text(encoding="utf-8") or "{}")
            if facts:
                return facts
        time.sleep(0.1)
    raise TimeoutError(f"no JupyterLab within {START_TIMEOUT_S} s: {(home / 'log').read_text()}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if path is None:
        pytest.skip(f"no Chromium on this machine (looked for {', '.join(CHROMIUM_NAMES)})")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def window(chromium: Browser, jupyterlab: JupyterLab) -> Iterator[Window]:
    """JupyterLab in the window of a browser that has never been anywhere."""
    context = chromium.new_context(viewport={"width": WIDTH_PX, "height": HEIGHT_PX})
    yield Window(context.new_page(), jupyterlab.url)
    context.close()
