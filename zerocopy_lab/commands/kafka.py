"""`kafka`: a real Apache Kafka, where Java is, for as long as this command runs.

python -m zerocopy_lab kafka                              one broker on 127.0.0.1, until Ctrl-C
python -m zerocopy_lab kafka --data-dir DIR --set NAME=VALUE
python -m zerocopy_lab kafka fetch                        the jars, into this user's cache
python -m zerocopy_lab kafka dump DIR                     DumpLogSegments over all that DIR holds
python -m zerocopy_lab kafka tool kafka-topics --bootstrap-server 127.0.0.1:9092 --list

Its first line is `pid PID listening on HOST:PORT`: the JVM is a process of its own, and that is the
one to measure.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from zerocopy_lab.running import apache_kafka, kafka_tools
from zerocopy_lab.running.scratch import ScratchDirectory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the actions; without one a broker runs."""
    option = parser.add_argument
    option("--data-dir", type=Path, metavar="DIR", help="keeps its partitions (default: temporary)")
    option("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    option("--port", type=int, default=0, metavar="N", help="(default: a free one)")
    option(
        "--listen",
        action="append",
        default=[],
        metavar="PROTOCOL://HOST:PORT",
        help="one more listener, e.g. SSL with --set ssl.keystore.location=FILE (PEM)",
    )
    option("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings")
    option(
        "--version",
        default=apache_kafka.default_version(),
        help="Kafka's version (default: %(default)s)",
    )
    actions = parser.add_subparsers(dest="action")
    actions.add_parser("fetch", help="fetch the jars, print their place")
    dumping = actions.add_parser("dump", help="DumpLogSegments; exit code 1 for faults")
    dumping.add_argument("directory", type=Path)
    tool = actions.add_parser("tool", help="run a script of Kafka's bin directory")
    tool.add_argument("tool", metavar="NAME", choices=kafka_tools.names())
    tool.add_argument("rest", nargs=argparse.REMAINDER, metavar="...")


def run(arguments: argparse.Namespace) -> int:
    """Runs the action; 2 when there can be no Kafka here."""
    try:
        if arguments.action == "fetch":
            print(apache_kafka.jars(arguments.version))
            return 0
        if arguments.action == "dump":
            return _dump(arguments)
        if arguments.action == "tool":
            done = kafka_tools.run_tool(arguments.tool, arguments.rest, arguments.version)
            return done.returncode
        return _serve(arguments)
    except apache_kafka.KafkaUnavailable as reason:
        print(f"Apache Kafka is not available here: {reason}", file=sys.stderr)
    except (RuntimeError, ValueError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
    return 2


def _serve(arguments: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    settings = dict(_setting(each) for each in arguments.settings)
    with ScratchDirectory("kafka") as scratch:
        try:
            with apache_kafka.running_kafka(
                scratch.path,
                settings,
                arguments.version,
                log_dir=arguments.data_dir,
                host=arguments.host,
                port=arguments.port,
                listeners=arguments.listen,
            ) as kafka:
                print(f"pid {kafka.pid} listening on {kafka.bootstrap}", flush=True)
                code = kafka.process.wait()
        except KeyboardInterrupt:
            return 0
    if code < 0:  # somebody killed the broker: end as it did
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    return code


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set {text}: it wants NAME=VALUE")
    return name, value


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _dump(arguments: argparse.Namespace) -> int:
    found = kafka_tools.dump(arguments.directory, arguments.version)
    print(found.text)
    print(f"{found.files} files, {len(found.faults)} faults", *found.faults, sep="\n  ")
    return 1 if found.faults else 0
