"""`verify`: check a whole log directory, or one partition's.

    python -m zerocopy_lab verify DIR [--deep] [--json]

Prints every fault with its file and position. The exit code is 0 when there is none, 1 when there
are some, 2 when the directory is not a log's. It never changes a file, and works on a real Kafka's
directory, too.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from zerocopy_lab.inspect.partition_verification import Findings
from zerocopy_lab.inspect.verification import verify


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the directory and how to look at it."""
    parser.add_argument("directory", type=Path, help="a log.dir, or a partition's directory")
    parser.add_argument("--deep", action="store_true", help="open the batches, read every record")
    parser.add_argument("--json", action="store_true", help="one JSON object with all faults")


def run(arguments: argparse.Namespace) -> int:
    """Prints what was found; the exit code says whether anything was wrong."""
    try:
        findings = verify(arguments.directory, deep=arguments.deep)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(_as_json(findings)))
    else:
        for fault in findings.faults:
            print(fault)
        opened = f", {findings.records:,} records" if arguments.deep else ""
        print(
            f"{findings.partitions:,} partitions, {findings.segments:,} segments, "
            f"{findings.batches:,} batches{opened}: {len(findings.faults):,} faults"
        )
    return 1 if findings.faults else 0


def _as_json(findings: Findings) -> dict[str, object]:
    return {
        "partitions": findings.partitions,
        "segments": findings.segments,
        "batches": findings.batches,
        "records": findings.records,
        "faults": [{**fault._asdict(), "path": str(fault.path)} for fault in findings.faults],
    }
