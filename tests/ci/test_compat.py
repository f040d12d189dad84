"""The README shows what `python -m ci.compat` found, and nothing else."""

from __future__ import annotations

from pathlib import Path

from ci.compat.__main__ import CHECKS, clients, rows_in

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "compatible_clients.md"


def test_the_readme_shows_the_table_of_the_last_run() -> None:
    assert TABLE.read_text(encoding="utf-8") in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_has_every_client_and_every_aspect() -> None:
    assert list(rows_in(TABLE)) == [client.name for client in clients([])]
    head = TABLE.read_text(encoding="utf-8").splitlines()[0]
    assert [cell.strip() for cell in head.split("|")[2:-1]] == list(CHECKS)


def test_no_client_fails_at_anything() -> None:
    cells = [cell.strip() for row in rows_in(TABLE).values() for cell in row.split("|")[2:-1]]
    assert "no" not in cells
