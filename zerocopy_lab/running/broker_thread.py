"""A mini broker in a thread of this process, to look inside while it serves.

    with BrokerThread() as running:
        ...                                    # any client, at running.bootstrap
        running.broker.logs.get("flights", 0)  # and its insides, live

For reading and debugging only: it shares the interpreter with whoever looks on, so nothing of it
can be timed or counted by its process id. `RunningBroker` is the one to measure. Left out is what
`serve` adds: further listeners, faults on demand, counters over HTTP.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Self

from zerocopy_lab import transfer
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.network.server import NetworkServer, NetworkSettings
from zerocopy_lab.protocol.framing import Client, Reply
from zerocopy_lab.running.scratch import ScratchDirectory


class BrokerThread:
    """A broker and its network on a free port of 127.0.0.1, from `with` to the end of the block.

    Without `data_dir` its files are temporary. `transfer_name` is how fetched bytes travel.
    `overhears` is told every request, as it came, before the broker has touched it. Raises
    ValueError for a transfer that there is not, StorageError when the directory is in use.
    """

    broker: Broker
    server: NetworkServer

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        transfer_name: str = "sendfile",
        overhears: Callable[[bytes], object] | None = None,
    ) -> None:
        self._given_data_dir = data_dir
        self._overhears = overhears
        self._transfer_name = transfer_name
        self._until_the_end = contextlib.ExitStack()

    @property
    def bootstrap(self) -> str:
        """HOST:PORT, the way Kafka's clients want it in `bootstrap.servers`."""
        return f"{self.server.host}:{self.server.port}"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:  # undone if anything below fails
            self.data_dir = (
                self._given_data_dir or stack.enter_context(ScratchDirectory("broker")).path
            )
            make_transfer = partial(transfer.make, self._transfer_name)
            make_transfer().close()
            # Whoever follows a request sees all of it in one thread, and the core alone.
            settings = BrokerSettings(log_dirs=(self.data_dir,), cold_read_threads=0)
            self.broker = stack.enter_context(Broker(settings))
            network = NetworkSettings(host="127.0.0.1", port=0, transfer=make_transfer)
            handler = self._overheard if self._overhears else self.broker.handle
            self.server = NetworkServer(network, handler)
            self.broker.advertise(self.server.host, self.server.port)
            thread = threading.Thread(target=self.server.run, name="broker", daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(self.server.stop)
            self._until_the_end = stack.pop_all()
        return self

    def _overheard(self, frame: memoryview, client: Client) -> Reply:
        assert self._overhears is not None
        self._overhears(bytes(frame))
        return self.broker.handle(frame, client)

    def __exit__(self, *_: object) -> None:
        self._until_the_end.close()
