"""What a Mac would show, as far as Linux can pretend (`tests/a_mac`): everything imports, a broker
serves, exams examine, and the labs that are said to run there do, cell by cell as a plain script.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zerocopy_lab.checkout import LABS_DIR
from zerocopy_lab.classroom.evidence_file import conclusion_in
from zerocopy_lab.classroom.manifest import LabEntry, labs

ROOT = Path(__file__).resolve().parents[2]
A_MAC = ROOT / "tests" / "a_mac"
QUICK = ("01", "02", "14")
"""Of those that run there; the others take three times as long."""

IMPORTS = """
import importlib, pkgutil, sys, zerocopy_lab
for module in pkgutil.walk_packages(zerocopy_lab.__path__, "zerocopy_lab."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(sys.platform)
"""

BROKER = """
from zerocopy_lab.course import RunningBroker, consume, examine, part, produce, repeated
with RunningBroker() as broker:
    sent = produce(broker.bootstrap, "t", repeated(3000))
    assert consume(broker.bootstrap, "t", 3000) == sent

def index_lookup(relative_offsets, positions, relative_offset):
    return 0

print(examine(part("index_lookup"), lambda: index_lookup).passed)
"""

LAB = """
import json, pathlib, sys
names = {"__name__": "__main__"}
for cell in json.loads(pathlib.Path(sys.argv[1]).read_text())["cells"]:
    if cell["cell_type"] == "code":
        source = "".join(cell["source"])
        if "parameters" in cell["metadata"].get("tags", ()):
            source += f"\\nFAST, OUT_DIR = True, {sys.argv[2]!r}"
        exec(compile(source, cell["id"], "exec"), names)
"""


def said_there(source: str, *words: str) -> str:
    """What this Python says of the source where it believes to be on a Mac."""
    ended = subprocess.run(
        [sys.executable, "-c", source, *words],
        cwd=LABS_DIR,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(A_MAC), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


def test_everything_imports() -> None:
    assert said_there(IMPORTS) == "darwin\n"


def test_a_broker_serves_and_an_exam_examines() -> None:
    assert said_there(BROKER) == "False\n"


@pytest.mark.parametrize("entry", [pytest.param(labs()[each], id=each) for each in QUICK])
def test_a_lab_runs_to_its_conclusion(entry: LabEntry, tmp_path: Path) -> None:
    assert "darwin" in entry.platforms
    said = said_there(LAB, str(entry.notebook), str(tmp_path))
    assert "text/html" not in said
    held = conclusion_in(tmp_path, entry)["invariants"]
    assert held
    assert all(held.values())
