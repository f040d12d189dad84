"""`python -m zerocopy_lab serve`: run the broker until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import logging
import resource
import signal
import socket
import sys
from functools import partial
from pathlib import Path

from zerocopy_lab import transfer
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.errors import KafkaError
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.network.server import NetworkServer, NetworkSettings

HELP = "run the mini broker"
_INTERVAL = "log.retention.check.interval.ms"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `serve`; `--set` takes any of Kafka's topic settings, for all topics."""
    option = parser.add_argument
    option("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    option("--port", type=_port, default=9092, help="0 takes a free one (default: %(default)s)")
    option(
        "--data-dir",
        type=Path,
        action="append",
        metavar="DIR",
        help="a log directory; may be given several times (default: ./zerocopy-lab-data)",
    )
    option(
        "--transfer",
        default="sendfile",
        metavar="NAME",
        help=f"how fetched bytes travel: {', '.join(transfer.strategies())} (default: %(default)s)",
    )
    option("--chunk-bytes", type=int, metavar="N", help="most bytes per call of the transfer")
    option("--network-threads", type=_positive, default=1, metavar="N", help="(default: 1)")
    option(
        "--partitions", type=_positive, default=1, metavar="N", help="of a new topic (default: 1)"
    )
    option("--advertised-host", metavar="HOST", help="what clients are told (default: --host)")
    option("--send-buffer-bytes", type=int, default=-1, help="SO_SNDBUF; -1: the system decides")
    option("--congestion-control", metavar="NAME", help="TCP's, e.g. cubic (default: the system's)")
    option(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a topic setting by Kafka's name, e.g. segment.bytes=1048576, for every topic that "
        f"does not say otherwise; or {_INTERVAL}, of the broker",
    )
    option("--log-level", default="info", choices=("debug", "info", "warning", "error"))


def run(arguments: argparse.Namespace) -> int:
    """Print `listening on HOST:PORT` when ready; 0 after a clean end, 2 when it cannot start."""
    logging.basicConfig(
        level=arguments.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        make_transfer = partial(transfer.make, arguments.transfer, arguments.chunk_bytes)
        if make_transfer().needs_tls:
            raise ValueError(f"{arguments.transfer} sends over TLS; this broker listens without")
        settings = _broker_settings(arguments)
        _raise_open_files_limit()
        broker = Broker(settings)
    except (KafkaError, ValueError, OSError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 2
    with broker:
        return _serve(broker, make_transfer, arguments)


def _serve(
    broker: Broker, make_transfer: partial[transfer.Transfer], arguments: argparse.Namespace
) -> int:
    settings = NetworkSettings(
        host=arguments.host,
        port=arguments.port,
        transfer=make_transfer,
        threads=arguments.network_threads,
        send_buffer_bytes=arguments.send_buffer_bytes,
        congestion_control=arguments.congestion_control,
    )
    try:
        server = NetworkServer(settings, broker.handle)
    except OSError as error:
        print(f"cannot listen on {arguments.host}:{arguments.port}: {error}", file=sys.stderr)
        return 2
    broker.advertise(arguments.advertised_host or _reachable(server.host), server.port)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    print(f"listening on {server.host}:{server.port}", flush=True)
    server.run()
    log.info("shutting down")
    return 0


def _broker_settings(arguments: argparse.Namespace) -> BrokerSettings:
    topic_settings: dict[str, str] = {}
    for assignment in arguments.set:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set {assignment}: it wants NAME=VALUE")
        topic_settings[name] = value
    interval_ms = int(topic_settings.pop(_INTERVAL, BrokerSettings.log_retention_check_interval_ms))
    if interval_ms < 1:
        raise ValueError(f"--set {_INTERVAL}={interval_ms}: it must be 1 or more")
    return BrokerSettings(
        log_dirs=tuple(arguments.data_dir or [Path("zerocopy-lab-data")]),
        log_retention_check_interval_ms=interval_ms,
        num_partitions=arguments.partitions,
        topic_defaults=TopicSettings.from_kafka(topic_settings),
    )


def _reachable(host: str) -> str:
    """What to tell clients when we listen on every address."""
    return socket.gethostname() if host in ("0.0.0.0", "::", "") else host


def _raise_open_files_limit() -> None:
    """A segment and a connection cost a descriptor each; take all that the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        wanted = hard if hard != resource.RLIM_INFINITY else max(soft, 65_536)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError) as refused:  # macOS caps it below `hard`
            log.info("open files stay limited to %d: %s", soft, refused)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not 1 or more")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{value} is not a port (0 to 65535)")
    return value
