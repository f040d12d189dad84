"""TLS without certificates, to price a cipher on loopback and to try strategies that need TLS.

Neither end proves who it is (anonymous Diffie-Hellman), so no key and no certificate has to be
made, stored or renewed. The cipher of the payload is the usual one, AES-256-GCM, with AES in the
processor. The handshake is TLS 1.2 because TLS 1.3 has no anonymous suites; the records cost the
same. Never for real use: anybody can sit in the middle. A real listener has a certificate.
"""

from __future__ import annotations

import ssl
import tempfile
from concurrent.futures import ThreadPoolExecutor

from zerocopy_lab.transfer.connections import Pair

_ANONYMOUS_AES_GCM = "ADH-AES256-GCM-SHA384:@SECLEVEL=0"

# The public group ffdhe2048 of RFC 7919, appendix A.1, in the form OpenSSL reads.
_GROUP = """-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""


def anonymous_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server and of a client; with kernel TLS where Python can ask for it."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    for context in (server, client):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_ANONYMOUS_AES_GCM)
    server.options |= getattr(ssl, "OP_ENABLE_KTLS", 0)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as group:
        group.write(_GROUP)
        group.flush()
        server.load_dh_params(group.name)
    return server, client


def encrypted(plain: Pair) -> Pair:
    """The same connection under TLS, after its handshake; the plain ends are used up."""
    server, client = anonymous_contexts()
    with ThreadPoolExecutor(1) as thread:
        accepting = thread.submit(server.wrap_socket, plain.sender, server_side=True)
        receiver = client.wrap_socket(plain.receiver)
        return Pair(accepting.result(), receiver)
