"""TLS under the same reactor: a socket that encrypts, and otherwise behaves like a plain one.

    recv_into(2) --> OpenSSL --> the inbox        outbox --> OpenSSL --> send(2)

OpenSSL wants to read or to write more before it can go on, and says so in two exceptions of its
own; here they become the `BlockingIOError` of any other socket. The handshake happens within the
first reads. What is decrypted but not yet asked for is invisible to the selector: `pending()` tells
of it, and the connection has to ask.

Settings by Kafka's names, with keys and certificates as PEM files, which Kafka takes as well
(`ssl.keystore.type=PEM`): a Java key store cannot be read here.
"""

from __future__ import annotations

import logging
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.network.connection import Connection, State
from zerocopy_lab.transfer import Transfer, make
from zerocopy_lab.transfer.sendfile_over_kernel_tls import kernel_encrypts

_LOGGER = logging.getLogger(__name__)

_CLIENT_AUTH = {
    "none": ssl.CERT_NONE,
    "requested": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


@dataclass(frozen=True)
class TlsSettings:
    """`ssl_keystore_location` holds the key and the certificates of the broker,
    `ssl_truststore_location` those of the authorities whose clients are let in; `ssl_client_auth`
    is none, requested or required.
    """

    ssl_keystore_location: Path
    ssl_truststore_location: Path | None = None
    ssl_client_auth: str = "none"

    def context(self) -> ssl.SSLContext:
        """The context of a listener. Raises OSError (ssl.SSLError included) and ValueError."""
        if self.ssl_client_auth not in _CLIENT_AUTH:
            raise ValueError(f"ssl.client.auth={self.ssl_client_auth}: none, requested or required")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.sslsocket_class = TlsSocket
        context.load_cert_chain(self.ssl_keystore_location)
        context.verify_mode = _CLIENT_AUTH[self.ssl_client_auth]
        if self.ssl_truststore_location is not None:
            context.load_verify_locations(self.ssl_truststore_location)
        context.options |= getattr(ssl, "OP_ENABLE_KTLS", 0)
        return context


class TlsSocket(ssl.SSLSocket):
    """An `ssl.SSLSocket` that does not block, with the manners of a plain socket."""

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """Decrypted bytes. Raises BlockingIOError when there are none yet."""
        try:
            return super().recv_into(buffer, nbytes, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wants:
            raise BlockingIOError("TLS needs more from the client") from wants

    def send(self, data: Any, flags: int = 0) -> int:
        """Encrypt and send. `flags` (MSG_MORE) mean nothing to TLS, which sends whole records."""
        try:
            return super().send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wants:
            raise BlockingIOError("the TLS connection takes nothing now") from wants


class KernelTlsOrOurs(Transfer):
    """sendfile_over_kernel_tls on the connections whose cipher the kernel takes, and
    encrypt_then_send on the others: which it is, nobody knows before the client has chosen.
    """

    name = "sendfile_over_kernel_tls"
    needs_tls = True
    _ciphers_said: ClassVar[set[str]] = set()

    def __init__(self, chunk_bytes: int | None = None) -> None:
        super().__init__(chunk_bytes)
        self._given_chunk_bytes = chunk_bytes
        self._chosen: Transfer | None = None

    def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
        """As the chosen one does."""
        if self._chosen is None:
            self._chosen = make(self._choose(sock), self._given_chunk_bytes)
        return self._chosen.send(sock, piece, sent_bytes)

    def _choose(self, sock: socket.socket) -> str:
        if kernel_encrypts(sock):
            return self.name
        cipher = (isinstance(sock, ssl.SSLSocket) and sock.cipher()) or ("no cipher", "no TLS", 0)
        if cipher[0] not in self._ciphers_said:
            self._ciphers_said.add(cipher[0])
            text = "the kernel does not encrypt %s (%s): encrypt_then_send for these connections"
            _LOGGER.warning(text, cipher[0], cipher[1])
        return "encrypt_then_send"

    def close(self) -> None:
        """Give back what the chosen one holds."""
        if self._chosen is not None:
            self._chosen.close()


class TlsConnection(Connection):
    """A connection whose bytes come through OpenSSL."""

    _sock: TlsSocket
    _has_name = False

    def _serve(self, frame: memoryview | None) -> None:
        """What is decrypted already is not in the socket, so the selector does not know of it."""
        if not self._has_name:  # the handshake is over: the client may have shown a certificate
            self._has_name = True
            self.client.principal = principal_of(self._sock) or self.client.principal
        super()._serve(frame)
        while self.state is State.READING and not self.outbox and self._sock.pending():
            super()._serve(self.inbox.receive(self._sock))

    @property
    def is_amid_a_request(self) -> bool:
        """The handshake is one, too: without an end to it, the client has no version."""
        return super().is_amid_a_request or self._sock.version() is None


def accept_tls(context: ssl.SSLContext, sock: socket.socket) -> ssl.SSLSocket:
    """Speak TLS on a connection that does not block; the handshake comes with the first reads.
    Raises OSError.
    """
    return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)


def principal_of(sock: socket.socket) -> str | None:
    """Kafka's name for the owner of a client certificate, None without one: User:CN=alice,O=lab.

    Good after the handshake. The name is the distinguished one, most special part first, as in
    Kafka.
    """
    certificate = sock.getpeercert() if isinstance(sock, ssl.SSLSocket) else None
    if not certificate:
        return None
    subject: Any = certificate["subject"]
    parts = [pair for names in subject for pair in names]
    return "User:" + ",".join(f"{_SHORT.get(k, k)}={v}" for k, v in reversed(parts))


_SHORT = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "countryName": "C",
}
