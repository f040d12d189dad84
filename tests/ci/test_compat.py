"""The README shows what `python -m ci.compat` found, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

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


def test_a_client_says_what_is_missing_to_run_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Then its row is left out, instead of saying that the client does not offer anything."""
    for name in ("PATH", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    libraries = ["confluent-kafka", "kafka-python", "aiokafka"]
    reasons = {client.name: client.unavailable() for client in clients([])}
    assert [name for name, reason in reasons.items() if reason is None] == libraries
    assert reasons["rdkafka (Rust)"] == "not on PATH: cargo, cc, make"
    assert "java, mvn" in str(reasons["Java tools 3.9.1"])
