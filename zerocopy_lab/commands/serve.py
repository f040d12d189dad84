"""`python -m zerocopy_lab serve`: run the broker until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import contextlib
import gc
import ipaddress
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from zerocopy_lab import transfer
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.faults import Fault, parse_fault
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.commands.log_lines import JsonLines, TextLines
from zerocopy_lab.commands.metrics import metrics_endpoint
from zerocopy_lab.commands.serve_settings import (
    ServeSettings,
    network_entries,
    read_users,
    sort_settings,
)
from zerocopy_lab.errors import KafkaError
from zerocopy_lab.log.open_files import share_of_descriptors
from zerocopy_lab.network.server import ListenerSettings, NetworkServer, NetworkSettings
from zerocopy_lab.network.tls import KernelTlsOrOurs

_MORE_PROTOCOLS = ("SSL", "SASL_PLAINTEXT", "SASL_SSL")

_SWITCH_INTERVAL_S = 0.0001
_COLLECTION_THRESHOLDS = (2_000, 10, 1_000)
#: For files that the log has let go of while they are being sent, checkpoints, listeners; half of
#: what there is, where there is little.
_SPARE_DESCRIPTORS = 64

_LOGGER = logging.getLogger(__name__)


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
        metavar="NAME",
        help=f"how fetched bytes travel: {_names(tls=False)}, or a transfer among the parts "
        "(default: transfer of the parts, if there is one, else sendfile)",
    )
    option(
        "--parts",
        type=Path,
        metavar="DIR",
        help="parts of your own, NAME.py each, in the place of the broker's (keep() writes them)",
    )
    option("--chunk-bytes", type=int, metavar="N", help="most bytes per call of the transfer")
    option("--network-threads", type=_positive, default=1, metavar="N", help="(default: 1)")
    option(
        "--partitions", type=_positive, default=1, metavar="N", help="of a new topic (default: 1)"
    )
    option("--advertised-host", metavar="HOST", help="what clients are told (default: --host)")
    option("--send-buffer-bytes", type=int, default=-1, help="SO_SNDBUF; -1: the system decides")
    option(
        "--congestion-control",
        metavar="NAME",
        help="TCP's, e.g. cubic, or system (default: the system's; where that is BBR, which paces, "
        "peers on this machine get another one)",
    )
    option(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting by Kafka's name: a topic's, e.g. segment.bytes=1048576, for every topic "
        "that does not say otherwise, or the broker's, e.g. max.connections=100",
    )
    option(
        "--listen",
        type=_listener,
        action="append",
        default=[],
        metavar="PROTOCOL://HOST:PORT",
        help=f"one more listener: {', '.join(_MORE_PROTOCOLS)}; a key and a certificate come with "
        "--set ssl.keystore.location=FILE (PEM)",
    )
    option(
        "--no-plaintext",
        action="store_true",
        help="leave out the plain listener (--host, --port): only those of --listen are open",
    )
    option(
        "--tls-transfer",
        default="encrypt_then_send",
        metavar="NAME",
        help=f"how they travel over TLS: {_names(tls=True)} (default: %(default)s)",
    )
    option("--sasl-users", type=Path, metavar="FILE", help="lines of NAME:PASSWORD")
    option(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        metavar="REQUEST:WHAT",
        help="a fault on demand, e.g. produce:error=NotLeaderOrFollower:times=3, fetch:delay=0.5, "
        "produce:drop:carried_out",
    )
    option("--metrics-port", type=_port, metavar="N", help="counters for Prometheus, on 127.0.0.1")
    option("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    option("--log-format", default="text", choices=("text", "json"))


def _names(*, tls: bool) -> str:
    """The strategies for listeners with TLS, or for those without."""
    return ", ".join(name for name, each in transfer.strategies().items() if each.needs_tls is tls)


def run(arguments: argparse.Namespace) -> int:
    """Print `listening on HOST:PORT` when ready; 0 after a clean end, 2 when it cannot start."""
    _set_up_log(arguments)
    try:
        make_transfer = _chosen_transfer(arguments)
        if make_transfer().needs_tls:
            raise ValueError(f"{arguments.transfer} sends over TLS; this broker listens without")
        given = sort_settings(arguments.set)
        settings = _broker_settings(arguments, given)
        _raise_open_files_limit()
        network = _network_settings(arguments, given, make_transfer)
        broker = Broker(settings, network_entries(network.limits))
    except (KafkaError, ValueError, OSError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 2
    # Whoever has the interpreter hands it over this often. A thread with a large request must not
    # make the others wait longer for every system call they make.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    # All threads stand still while the garbage collector looks through the objects. What there is
    # now will stay, and later nearly everything goes with its last reference: so it looks at young
    # objects, a few thousand at a time, and hardly ever at all.
    gc.freeze()
    gc.set_threshold(*_COLLECTION_THRESHOLDS)
    with broker:
        return _serve(broker, network, arguments)


def _chosen_transfer(arguments: argparse.Namespace) -> Callable[[], transfer.Transfer]:
    """The way that fetched bytes travel; parts are seated before. Raises ValueError, OSError."""
    own: dict[str, type[transfer.Transfer]] = {}
    if arguments.parts is not None:
        from zerocopy_lab.conformance.seats import take_seats  # only who brings parts needs exams

        own = take_seats(arguments.parts)
    name = arguments.transfer or ("transfer" if "transfer" in own else "sendfile")
    if name in own:
        return partial(own[name], arguments.chunk_bytes)
    return partial(transfer.make, name, arguments.chunk_bytes)


def _serve(broker: Broker, settings: NetworkSettings, arguments: argparse.Namespace) -> int:
    try:
        server = NetworkServer(settings, broker.handle)
    except OSError as error:
        wanted = ", ".join(f"{each.host}:{each.port}" for each in settings.listeners)
        print(f"cannot listen on {wanted}: {error}", file=sys.stderr)
        return 2
    for protocol, (host, port) in server.addresses.items():
        broker.advertise(arguments.advertised_host or _reachable(host), port, protocol)
    for listener in settings.listeners:
        _warn_of_an_open_door(listener, *server.addresses[listener.protocol])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    for fault in arguments.fault:
        broker.faults.add(fault)
    with contextlib.ExitStack() as until_the_end:
        try:
            until_the_end.enter_context(_metrics(broker, server, arguments.metrics_port))
        except (OSError, ValueError) as error:
            print(f"no counters on port {arguments.metrics_port}: {error}", file=sys.stderr)
            return 2
        _announce_and_run(server)
    return 0


def _announce_and_run(server: NetworkServer) -> None:
    print(f"listening on {server.host}:{server.port}", flush=True)
    for protocol, (host, port) in list(server.addresses.items())[1:]:
        _LOGGER.info("listening on %s:%d for %s", host, port, protocol)
    server.run()
    _LOGGER.info("shutting down")


@contextlib.contextmanager
def _metrics(broker: Broker, server: NetworkServer, port: int | None) -> Iterator[None]:
    if port is None:
        yield
        return
    with metrics_endpoint(port, broker, server) as bound_port:
        _LOGGER.info("counters at http://127.0.0.1:%d/metrics", bound_port)
        yield


def _set_up_log(arguments: argparse.Namespace) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if arguments.log_format == "json" else TextLines())
    logging.basicConfig(level=arguments.log_level.upper(), handlers=[handler])


def _broker_settings(arguments: argparse.Namespace, given: ServeSettings) -> BrokerSettings:
    return BrokerSettings(
        log_dirs=tuple(arguments.data_dir or [Path("zerocopy-lab-data")]),
        num_partitions=arguments.partitions,
        topic_defaults=given.topic_defaults,
        groups=given.groups,
        sasl_users=read_users(arguments.sasl_users) if arguments.sasl_users else {},
        **given.broker,
    )


def _network_settings(
    arguments: argparse.Namespace,
    given: ServeSettings,
    make_transfer: Callable[[], transfer.Transfer],
) -> NetworkSettings:
    protocols = [protocol for protocol, _, _ in arguments.listen]
    if len(set(protocols)) < len(protocols):
        raise ValueError(f"one listener for each protocol; --listen gives {', '.join(protocols)}")
    if arguments.no_plaintext and not protocols:
        raise ValueError("--no-plaintext leaves no listener; add --listen PROTOCOL://HOST:PORT")
    return NetworkSettings(
        host=arguments.host,
        port=arguments.port,
        plaintext=not arguments.no_plaintext,
        transfer=make_transfer,
        threads=arguments.network_threads,
        limits=given.limits.within_descriptors(
            share_of_descriptors() + min(_SPARE_DESCRIPTORS, 2 * share_of_descriptors()),
            each=1 + make_transfer().descriptors,
        ),
        more_listeners=tuple(
            _more_listener(protocol, host, port, arguments, given, make_transfer)
            for protocol, host, port in arguments.listen
        ),
        send_buffer_bytes=arguments.send_buffer_bytes,
        congestion_control=arguments.congestion_control,
    )


def _more_listener(
    protocol: str,
    host: str,
    port: int,
    arguments: argparse.Namespace,
    given: ServeSettings,
    make_transfer: Callable[[], transfer.Transfer],
) -> ListenerSettings:
    if protocol.startswith("SASL_") and not arguments.sasl_users:
        raise ValueError(f"{protocol} needs --sasl-users: nobody could come in")
    if not protocol.endswith("SSL"):
        return ListenerSettings(protocol, host, port, make_transfer)
    if given.tls is None:
        raise ValueError(f"{protocol} needs --set ssl.keystore.location=FILE (PEM)")
    over_tls: Callable[[], transfer.Transfer] = partial(
        transfer.make, arguments.tls_transfer, arguments.chunk_bytes
    )
    if not over_tls().needs_tls:
        raise ValueError(f"{arguments.tls_transfer} sends in the clear; {protocol} must not")
    if arguments.tls_transfer == KernelTlsOrOurs.name:
        over_tls = partial(KernelTlsOrOurs, arguments.chunk_bytes)
    return ListenerSettings(protocol, host, port, over_tls, given.tls.context())


def _warn_of_an_open_door(listener: ListenerSettings, host: str, port: int) -> None:
    if listener.lets_anybody_in and not ipaddress.ip_address(host).is_loopback:
        text = "whoever can reach %s:%d may read, write and delete everything: %s asks for no "
        text += "password (--listen SASL_SSL://... with --no-plaintext does)"
        _LOGGER.warning(text, host, port, listener.protocol)


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
            _LOGGER.info("open files stay limited to %d: %s", soft, refused)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not 1 or more")
    return value


def _listener(text: str) -> tuple[str, str, int]:
    protocol, _, address = text.partition("://")
    host, _, port = address.rpartition(":")
    if protocol not in _MORE_PROTOCOLS or not host:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not PROTOCOL://HOST:PORT, with one of {', '.join(_MORE_PROTOCOLS)}"
        )
    return protocol, host, _port(port)


def _fault(text: str) -> Fault:
    try:
        return parse_fault(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{value} is not a port (0 to 65535)")
    return value
