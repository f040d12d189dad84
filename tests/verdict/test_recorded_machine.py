"""Recording a machine: evidence is kept as it was written, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verdict.conftest import CONTRADICTED, SUPPORTED, Concluded, found
from zerocopy_lab.classroom.evidence_file import EVIDENCE_DIRECTORY
from zerocopy_lab.publishing import recorded_machine
from zerocopy_lab.publishing.recorded_machine import record_machine
from zerocopy_lab.publishing.reference_run import CannotRecord


@pytest.fixture
def machines_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(recorded_machine, "MACHINES_DIR", tmp_path / "machines")
    return tmp_path / "machines"


def test_what_has_findings_is_kept_byte_by_byte_and_labs_can_be_renewed(
    tmp_path: Path, machines_dir: Path, concluded: Concluded
) -> None:
    evidence = tmp_path / "out" / EVIDENCE_DIRECTORY
    concluded(tmp_path / "out", "00", [])
    concluded(tmp_path / "out", "05", [found("Z4", SUPPORTED)])
    concluded(tmp_path / "out", "09", [found("D1", CONTRADICTED)])
    kept = recorded_machine._keep("mine", evidence, is_whole=True)
    assert kept == machines_dir / "mine"
    names = [path.name for path in sorted(kept.iterdir())]
    assert names == ["05_zero_copy.json", "09_dma_and_the_copy_ledger.json"]
    assert all((kept / name).read_bytes() == (evidence / name).read_bytes() for name in names)
    (evidence / "09_dma_and_the_copy_ledger.json").unlink()
    concluded(tmp_path / "out", "05", [found("Z4", CONTRADICTED)])
    recorded_machine._keep("mine", evidence, is_whole=False)
    assert [path.name for path in sorted(kept.iterdir())] == names
    assert "contradicted" in (kept / names[0]).read_text()
    recorded_machine._keep("mine", evidence, is_whole=True)
    assert [path.name for path in kept.iterdir()] == names[:1]


def test_a_void_lab_is_not_recorded(
    tmp_path: Path, machines_dir: Path, concluded: Concluded
) -> None:
    concluded(tmp_path, "05", [found("Z4", SUPPORTED)], held=False)
    with pytest.raises(CannotRecord, match="void"):
        recorded_machine._keep("mine", tmp_path / EVIDENCE_DIRECTORY, is_whole=True)
    assert not machines_dir.exists()


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", ""])
def test_a_name_is_a_directorys(name: str, machines_dir: Path) -> None:
    with pytest.raises(CannotRecord, match="the name of a directory"):
        record_machine(name, None, None)
    assert not machines_dir.exists()
