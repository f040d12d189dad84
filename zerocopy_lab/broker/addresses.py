"""Where clients find this broker: at the listener through which they came.

A client that came in over TLS must not be sent to the plain port, nor the other way round; Kafka
calls this `advertised.listeners`.
"""

from __future__ import annotations

from zerocopy_lab.protocol.framing import Client


class Addresses:
    """Host and port of each listener, by its protocol; filled in once the ports are known."""

    def __init__(self, node_id: int) -> None:
        self._node_id = node_id
        self._by_protocol: dict[str, tuple[str, int]] = {}

    def advertise(self, host: str, port: int, protocol: str) -> None:
        """Tell the clients of this listener, from now on, to connect to `host` and `port`."""
        self._by_protocol[protocol] = host, port

    def for_client(self, client: Client) -> tuple[int, str, int]:
        """Node id, host and port, for a client that came through one of the listeners."""
        host, port = self._by_protocol.get(client.listener, ("127.0.0.1", 0))
        return self._node_id, host, port
