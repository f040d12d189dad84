"""A network in a thread of its own, for as long as a test needs it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from zerocopy_lab.network.server import NetworkServer, NetworkSettings
from zerocopy_lab.protocol.framing import FrameHandler
from zerocopy_lab.transfer.sendfile import Sendfile


@contextlib.contextmanager
def serving(handler: FrameHandler, **changes: Any) -> Iterator[NetworkServer]:
    """On a free port of the loopback, by sendfile; `changes` are fields of NetworkSettings."""
    settings = {"host": "127.0.0.1", "port": 0, "transfer": Sendfile, **changes}
    server = NetworkServer(NetworkSettings(**settings), handler)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(timeout=10)
        assert not thread.is_alive()
