"""`python -m zerocopy_lab COMMAND`: the one place that wires everything together.

Only the chosen command's module is imported: a broker does not wait for a plotting library.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from types import ModuleType

#: In the order of `--help`, with the one line that is shown there.
COMMANDS = {
    "serve": "run the mini broker",
    "kafka": "run a real Apache Kafka, where Java is",
    "follow": "keep a copy of a partition, as a replica would",
    "labs": "list the labs, run them without a browser and write a report",
    "doctor": "what this machine can prove, count and time",
    "race": "let transfer strategies race each other",
    "residency": "how much of a directory is in the page cache",
    "dump": "print segments, indexes, snapshots and checkpoints",
    "verify": "check a log directory: batches, offsets, indexes, checkpoints",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="python -m zerocopy_lab",
        description="A mini Kafka broker and the instruments to see how its bytes travel.",
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = argv[0] if argv and argv[0] in COMMANDS else None
    module: ModuleType | None = None
    for name, help_line in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=help_line, description=help_line)
        if name == chosen:
            module = import_module(f"zerocopy_lab.commands.{name}")
            module.add_arguments(subparser)
    arguments = parser.parse_args(argv)
    assert module is not None, "argparse accepts no other command"
    exit_code: int = module.run(arguments)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
