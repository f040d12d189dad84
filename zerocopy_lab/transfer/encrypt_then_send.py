"""encrypt_then_send: TLS in user space. Nothing can be shared with the page cache any more.

    page cache --(preadv)--> buffer --(cipher)--> OpenSSL's record --(write)--> socket queue --> ...

The bytes that leave are not the bytes of the file, so somebody must read, transform and write them:
this is why sendfile and TLS exclude each other unless the kernel itself encrypts
(sendfile_over_kernel_tls).

OpenSSL sends one record of at most 16 KiB per call, hence one write(2) per 16 KiB. The socket must
be an `ssl.SSLSocket` after its handshake.

Kafka: `SslTransportLayer.transferFrom`, which reads 32 KiB at a time.
"""

from __future__ import annotations

import socket
import ssl

from zerocopy_lab.transfer.read_then_send import ReadThenSend


class EncryptThenSend(ReadThenSend):
    """preadv(2), then SSL_write: a cipher and a write(2) per record."""

    name = "encrypt_then_send"
    needs_tls = True

    def _send_chunk(self, sock: socket.socket, chunk: memoryview) -> int:
        if not isinstance(sock, ssl.SSLSocket):
            raise TypeError(f"{self.name} needs a TLS connection (ssl.SSLSocket), got {sock!r}")
        try:
            return sock.send(chunk)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError) as would_block:
            # OpenSSL insists on being called again with the same bytes; the buffer keeps them.
            raise BlockingIOError("the TLS connection takes nothing now") from would_block
