"""Counters for Prometheus: `serve --metrics-port N` answers http://127.0.0.1:N/metrics.

The numbers are those of `NetworkServer.counters()` and `Broker`, read when somebody asks; nothing
is counted twice, and nothing is sent anywhere. The endpoint is on the loopback only. It needs the
package prometheus-client.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.network.server import NetworkServer


def samples(broker: Broker, server: NetworkServer) -> Iterator[tuple[str, str, Any]]:
    """(name, help, value): a number, or numbers by label values for what has labels."""
    network, requests = server.counters(), broker.dispatch
    yield "connections", "Connections that are open.", len(server.connections())
    yield "connections_opened_total", "Connections so far.", network.connections_opened
    yield "received_bytes_total", "Bytes received.", network.received_bytes
    yield "sent_bytes_total", "Bytes sent.", network.sent_bytes
    yield "file_bytes_total", "Bytes sent from files by the transfer strategy.", network.file_bytes
    yield "would_blocks_total", "How often a socket was full.", network.would_blocks
    name = "requests_without_memory_total"
    yield name, "Large requests that had to wait.", network.requests_without_memory
    yield "waiting_fetches", "Fetches that wait for data.", len(broker.waiting)
    yield "groups", "Consumer groups.", len(broker.groups.coordinator.groups)
    yield "partitions", "Partitions that are open.", len(broker.logs.logs())
    by_label: list[tuple[str, str, Mapping[tuple[str, ...], int]]] = [
        ("connections_refused_total", "limit", _keyed(network.connections_refused)),
        ("connections_cut_off_total", "limit", _keyed(network.connections_cut_off)),
        ("requests_total", "request", _keyed(requests.requests)),
        ("request_errors_total", "request error", _plain(requests.errors)),
    ]
    for name, labels, values in by_label:
        yield name, labels, values


def _plain(values: Mapping[tuple[str, str], int]) -> dict[tuple[str, ...], int]:
    return {tuple(key): value for key, value in values.items()}


def _keyed(values: dict[str, int]) -> dict[tuple[str, ...], int]:
    return {(key,): value for key, value in values.items()}


class _Collector:
    def __init__(self, broker: Broker, server: NetworkServer) -> None:
        self._broker = broker
        self._server = server

    def collect(self) -> Iterable[Any]:
        """The families of all samples, for prometheus-client."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for name, text, value in samples(self._broker, self._server):
            family_type = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            full_name = f"zerocopy_lab_{name}"
            if not isinstance(value, dict):
                yield family_type(full_name, text, value=value)
                continue
            family = family_type(full_name, f"By {text}.", labels=text.split())
            for labels, number in value.items():
                family.add_metric(labels, number)
            yield family


@contextmanager
def metrics_endpoint(port: int, broker: Broker, server: NetworkServer) -> Iterator[int]:
    """Answer on 127.0.0.1 while the block lasts; the port, which 0 leaves to the system. Raises
    OSError, and ValueError without prometheus-client.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as missing:
        raise ValueError("--metrics-port needs the package prometheus-client") from missing
    registry = CollectorRegistry()
    registry.register(_Collector(broker, server))
    httpd, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    try:
        yield httpd.server_port
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
