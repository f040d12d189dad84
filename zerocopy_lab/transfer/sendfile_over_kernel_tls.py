"""sendfile_over_kernel_tls: the kernel encrypts, so that sendfile works on a TLS connection again.

    page cache --(references)--> kernel TLS --(cipher)--> TCP queue --> ...

Saves the way through our memory and its system calls. It is "zero copy" only where the network card
does the ciphering; otherwise the kernel writes the ciphertext to memory of its own.

Needed: the kernel's `tls` module, an OpenSSL that hands its keys to it, and Python >= 3.12, which
can ask OpenSSL to (`ssl.OP_ENABLE_KTLS` in the context's options). Python offers no SSL_sendfile,
and none is needed: once the kernel has the keys, sendfile(2) on the bare socket produces TLS
records. Before that it would put plaintext on the wire; so every connection is asked first.

Numbers: <linux/tls.h>, <linux/tcp.h>.
"""

from __future__ import annotations

import socket
import ssl
import struct
import sys

from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.transfer.sendfile import Sendfile

_TCP_ULP = 31
_SOL_TLS = 282
_TLS_TX = 1
_VERSION_AND_CIPHER = struct.Struct("=HH")


class SendfileOverKernelTls(Sendfile):
    """sendfile(2) on a connection whose outgoing TLS records the kernel makes. TCP only."""

    name = "sendfile_over_kernel_tls"
    tcp_only = True
    needs_tls = True

    def __init__(self, chunk_bytes: int | None = None) -> None:
        super().__init__(chunk_bytes)
        self._checked: socket.socket | None = None

    @classmethod
    def unavailable(cls) -> str | None:
        """Ask for sendfile, for Python's option, and for the kernel's module on a connection."""
        if reason := super().unavailable():
            return reason
        if not sys.platform.startswith("linux"):
            return f"no kernel TLS on {sys.platform} known to this kit"
        if not hasattr(ssl, "OP_ENABLE_KTLS"):
            version = ".".join(map(str, sys.version_info[:2]))
            return f"Python {version} cannot ask OpenSSL for kernel TLS; 3.12 with OpenSSL 3 can"
        return _kernel_refusal()

    def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
        """One sendfile(2), after making sure, once per connection, that the kernel encrypts."""
        if self._checked is not sock:
            if not kernel_encrypts(sock):
                raise TypeError(
                    f"the kernel does not encrypt for {sock!r}: sendfile would send plaintext. "
                    "Set ssl.OP_ENABLE_KTLS in the context's options and use an AES-GCM cipher"
                )
            self._checked = sock
        return super().send(sock, piece, sent_bytes)


def kernel_encrypts(sock: socket.socket) -> bool:
    """Whether the kernel has this connection's keys for sending."""
    try:
        version_and_cipher = sock.getsockopt(_SOL_TLS, _TLS_TX, _VERSION_AND_CIPHER.size)
    except OSError:  # ENOPROTOOPT: not under TLS; EBUSY: TLS without keys for this direction
        return False
    return _VERSION_AND_CIPHER.unpack(version_and_cipher) != (0, 0)


def _kernel_refusal() -> str | None:
    """Try to put a loopback connection under the kernel's TLS; the reason why that failed."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as probe,
    ):
        try:
            probe.setsockopt(socket.IPPROTO_TCP, _TCP_ULP, b"tls")
        except OSError as refusal:
            return f"this kernel has no TLS of its own ({refusal.strerror}); try: modprobe tls"
    return None
