"""A second listener with TLS beside the plain one, for ours or a real Kafka: what `RunningBroker`
has to be told, and what a client has to be told.

    listener = tls_listener(self_signed(directory))
    with RunningBroker(kind="kafka", **listener.for_the_broker) as broker: ...
    Consumer({"bootstrap.servers": listener.bootstrap, **listener.for_a_client})

The certificate signs itself, is good for two days and for this machine alone.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.running.apache_kafka import free_ports

_HOST = "127.0.0.1"


class TlsListener(NamedTuple):
    """Where it listens, and the key and certificate that it shows."""

    port: int
    pem: Path

    @property
    def bootstrap(self) -> str:
        """HOST:PORT of the listener with TLS."""
        return f"{_HOST}:{self.port}"

    @property
    def for_the_broker(self) -> dict[str, Any]:
        """Arguments of `RunningBroker`, of either kind; its own address stays the plain one."""
        settings = {"ssl.keystore.location": str(self.pem)}
        return {"settings": settings, "options": ["--listen", f"SSL://{self.bootstrap}"]}

    @property
    def for_a_client(self) -> dict[str, str]:
        """What librdkafka has to be told."""
        return {"security.protocol": "ssl", "ssl.ca.location": str(self.pem)}


def tls_listener(pem: Path) -> TlsListener:
    """A listener on a free port, with the key and the certificate in a PEM file."""
    return TlsListener(free_ports(1)[0], pem)


def self_signed(directory: Path) -> Path:
    """A new key and its certificate in one PEM file. Raises Unavailable without openssl."""
    if shutil.which("openssl") is None:
        raise Unavailable("TLS", "there is no openssl program here", "Install openssl")
    key, certificate, both = (directory / name for name in ("key.pem", "cert.pem", "tls.pem"))
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", f"/CN={_HOST}", "-addext", f"subjectAltName=IP:{_HOST},DNS:localhost"]
    subprocess.run(
        ["openssl", *words.split(), *names, "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    both.chmod(0o600)
    return both
