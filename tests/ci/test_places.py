"""The files that other places read (containers, editors, conda, Binder) agree with each other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.environment import NEWEST_TRIED, OLDEST_PYTHON
from ci.image import steps_of

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STEPS = list(steps_of(DOCKERFILE))


def was_tried(version: str) -> bool:
    found = tuple(map(int, version.split(".")))
    return OLDEST_PYTHON <= found <= NEWEST_TRIED


def test_the_image_is_made_of_what_is_there_and_is_not_roots() -> None:
    assert [step.words for step in STEPS if step.verb == "USER"] == ["learner"]
    verbs = [step.verb for step in STEPS]
    assert verbs.index("USER") < verbs.index("CMD")
    [command] = [step.words for step in STEPS if step.verb == "CMD"]
    assert command.startswith("python3 -m zerocopy_lab doctor")
    allowed = (ROOT / ".dockerignore").read_text().split()
    for step in STEPS:
        if step.verb == "COPY":
            source = step.words.split()[0]
            assert (ROOT / source).exists()
            assert f"!{source}" in allowed


def test_an_unknown_step_is_refused() -> None:
    with pytest.raises(ValueError, match="no way to do ADD"):
        list(steps_of("# words\nFROM a AS b\nADD a b\n"))


def test_the_editors_container_is_a_stage_of_the_image() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    directory, build = ROOT / ".devcontainer", container["build"]
    assert (directory / build["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert (directory / build["context"]).resolve() == ROOT
    stages = re.findall(r"FROM \S+ AS (\w+)", DOCKERFILE)
    assert build["target"] in stages
    assert f"useradd --create-home --shell /bin/bash {container['remoteUser']}" in DOCKERFILE
    python = container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert f"python3 -m venv {Path(python).parents[1]}" in DOCKERFILE


def test_conda_and_binder_install_the_set_that_was_tried() -> None:
    described: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text())
    [python] = [d for d in described["dependencies"] if str(d).startswith("python=")]
    assert was_tried(python.partition("=")[2])
    assert {"pip": ["-r requirements.txt"]} in described["dependencies"]
    binder = ROOT / "binder"
    assert was_tried((binder / "runtime.txt").read_text().strip().removeprefix("python-"))
    [included] = re.findall(r"^-r (.*)$", (binder / "requirements.txt").read_text(), re.MULTILINE)
    assert (binder / included).resolve() == ROOT / "requirements.txt"
    assert (binder / "postBuild").stat().st_mode & 0o111
