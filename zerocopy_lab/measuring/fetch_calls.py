"""Which system calls a broker makes for one fetch of 1 MiB: counted from outside, whoever it is."""

from __future__ import annotations

import ssl

from zerocopy_lab.client.consumer import fetch
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.system_calls import counting_system_calls
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured
from zerocopy_lab.running.existing_cluster import AnyBroker

RESPONSE_BYTES = 1 << 20
_FETCHES = 16
_NAMES = ("sendfile", "preadv", "sendto", "sendmsg", "recvfrom", "epoll_wait")

Calls = dict[str, float]
"""System calls for one fetch of 1 MiB, by name."""


def calls_per_fetch(
    broker: AnyBroker,
    topic: str,
    names: tuple[str, ...] = _NAMES,
    tls_port: int | None = None,
) -> Calls | Unmeasured:
    """Calls of the broker for a fetch, by name, what has no name of `names` as `other`; or why they
    cannot be counted. With `tls_port` through that listener.
    """
    try:
        with Wire(broker.host, tls_port or broker.port) as wire:
            if tls_port:
                wire.sock = trusting_anybody().wrap_socket(wire.sock)
            fetch(wire, topic, 0, 0, max_bytes=RESPONSE_BYTES)
            with counting_system_calls(broker.pid, names) as calls:
                for _ in range(_FETCHES):
                    fetch(wire, topic, 0, 0, max_bytes=RESPONSE_BYTES)
    except Unavailable as reason:
        return Unmeasured(str(reason))
    return {name: count / _FETCHES for name, count in calls.counts.items()}


def trusting_anybody() -> ssl.SSLContext:
    """A client's context that asks nobody who he is: for a broker of one's own on the loopback."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
