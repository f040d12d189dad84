"""Reads an annotated hex dump: bytes, then `#` and what they are."""

from __future__ import annotations

from pathlib import Path


def golden_bytes(name: str) -> bytes:
    text = (Path(__file__).parent / "golden" / name).read_text()
    return bytes.fromhex(" ".join(line.partition("#")[0] for line in text.splitlines()))
