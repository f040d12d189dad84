"""`follow`: keep a copy of a topic's partition 0, as a replica on another machine would.

    python -m zerocopy_lab follow 127.0.0.1:9092 flights --data-dir COPY

Prints `following ...` when it has begun, and goes on until SIGTERM or SIGINT, also when the leader
goes away and comes back. With `--parts DIR` the parts `follower` and `recovery` of that directory
do the work. The exit code is 0 after a clean end, 1 when it could not go on, 2 when it cannot
start.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from zerocopy_lab.conformance.seats import examined_or_ours
from zerocopy_lab.running.follower import Follower


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The leader, the topic, and where the copy goes."""
    parser.add_argument("leader", metavar="HOST:PORT", help="the broker that is followed")
    parser.add_argument("topic", help="its partition 0 is copied")
    parser.add_argument("--data-dir", type=Path, required=True, metavar="DIR",
                        help="where the copy is kept; a broker can be started with it")  # fmt: skip
    parser.add_argument("--parts", type=Path, metavar="DIR",
                        help="parts of your own: follower.py, recovery.py")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Follows until it is told to stop."""
    try:
        functions = [examined_or_ours(arguments.parts, name) for name in ("follower", "recovery")]
        follower = Follower(arguments.leader, arguments.topic, arguments.data_dir, *functions)
        with follower:
            stopping = threading.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopping.set())
            print(f"following {arguments.leader} from offset {follower.next_offset} "
                  f"into {follower.path}", flush=True)  # fmt: skip
            while not (follower.problem or stopping.wait(0.1)):
                pass
    except (ValueError, OSError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 2
    print(f"the copy ends at offset {follower.next_offset}. {follower.problem}".strip())
    return 1 if follower.problem else 0
