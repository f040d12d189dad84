"""SCRAM, server side: the client proves that it knows the password, without sending it.

    client                                     server
    n,,n=USER,r=CLIENT_NONCE              -->
                                          <--  r=CLIENT_NONCE+SERVER_NONCE,s=SALT,i=ITERATIONS
    c=biws,r=BOTH_NONCES,p=PROOF          -->
                                          <--  v=SERVER_SIGNATURE

    salted   = PBKDF2(password, salt, iterations)
    key      = HMAC(salted, "Client Key");  stored key = H(key)
    proof    = key XOR HMAC(stored key, the three messages before the proof, with commas)

The server keeps the stored key, from which the client's key cannot be found. Source: RFC 5802 and
RFC 7677, KIP-84. Left out: channel binding (Kafka has none), and keeping credentials in a log: each
is made from the user list when its user first comes.

Not a library's (scramp was looked at): it prepares names and passwords by SASLprep, as the RFC asks
and Kafka's clients do not, so that a password such as "½" would fail; and it brings a parser of
certificates with it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Callable
from typing import NamedTuple

from zerocopy_lab.errors import SaslAuthenticationFailed

ITERATIONS = 4096  # the least that Kafka takes
_HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
MECHANISMS = tuple(_HASHES)
_NO_CHANNEL_BINDING = base64.b64encode(b"n,,").decode()


class Credential(NamedTuple):
    """What the server knows of one user's password, for one hash."""

    salt: bytes
    stored_key: bytes
    server_key: bytes

    @classmethod
    def of_password(cls, mechanism: str, password: str) -> Credential:
        """The credential with a fresh salt; takes some milliseconds, on purpose."""
        hash_name, salt = _HASHES[mechanism], os.urandom(16)
        salted = hashlib.pbkdf2_hmac(hash_name, password.encode(), salt, ITERATIONS)
        client_key = hmac.digest(salted, b"Client Key", hash_name)
        stored_key = hashlib.new(hash_name, client_key).digest()
        return cls(salt, stored_key, hmac.digest(salted, b"Server Key", hash_name))


class ScramExchange:
    """One authentication: two messages of the client, two of ours. `user` is set when it has
    succeeded.
    """

    def __init__(self, mechanism: str, find: Callable[[str], Credential | None]) -> None:
        """`find` has the credential of a user, if there is such a one."""
        self.user: str | None = None
        self._hash_name = _HASHES[mechanism]
        self._find = find
        self._claimed_user = ""
        self._credential: Credential | None = None
        self._nonce = ""
        self._first_messages = ""  # the client's without its prefix, and ours

    def respond(self, message: bytes) -> bytes:
        """Our next message. Raises SaslAuthenticationFailed."""
        try:
            text = message.decode()
        except UnicodeDecodeError:
            raise SaslAuthenticationFailed("a SCRAM message is UTF-8") from None
        return (self._first(text) if not self._nonce else self._final(text)).encode()

    def _first(self, text: str) -> str:
        if not text.startswith("n,"):
            raise SaslAuthenticationFailed("channel binding is not supported")
        bare = text.split(",", 2)[-1]
        fields = _fields(bare)
        self._claimed_user = _unescaped(fields["n"])
        self._credential = credential = self._find(self._claimed_user)
        if credential is None:
            raise SaslAuthenticationFailed("unknown user or wrong password")
        self._nonce = fields["r"] + base64.b64encode(os.urandom(18)).decode()
        salt = base64.b64encode(credential.salt).decode()
        answer = f"r={self._nonce},s={salt},i={ITERATIONS}"
        self._first_messages = f"{bare},{answer}"
        return answer

    def _final(self, text: str) -> str:
        without_proof, _, proof_text = text.rpartition(",p=")
        fields = _fields(without_proof)
        if fields["c"] != _NO_CHANNEL_BINDING or fields["r"] != self._nonce:
            raise SaslAuthenticationFailed("the final message does not belong to the first")
        credential = self._credential
        assert credential is not None, "the first message found one"
        signed = f"{self._first_messages},{without_proof}".encode()
        signature = hmac.digest(credential.stored_key, signed, self._hash_name)
        client_key = _xor(_decode_base64(proof_text), signature)
        stored_key = hashlib.new(self._hash_name, client_key).digest()
        if not hmac.compare_digest(stored_key, credential.stored_key):
            raise SaslAuthenticationFailed("unknown user or wrong password")
        self.user = self._claimed_user
        ours = hmac.digest(credential.server_key, signed, self._hash_name)
        return f"v={base64.b64encode(ours).decode()}"


def _unescaped(name: str) -> str:
    """RFC 5802, 5.1: a comma comes as =2C, an equals sign as =3D, and never otherwise."""
    if re.search("=(?!2C|3D)", name):
        raise SaslAuthenticationFailed("an = in a SCRAM user name must be followed by 2C or 3D")
    return name.replace("=2C", ",").replace("=3D", "=")


class _Fields(dict[str, str]):
    def __missing__(self, name: str) -> str:
        raise SaslAuthenticationFailed(f"the SCRAM message has no {name}=")


def _fields(text: str) -> _Fields:
    """name=value, separated by commas."""
    return _Fields(part.split("=", 1) for part in text.split(",") if "=" in part)


def _decode_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise SaslAuthenticationFailed("the proof is not in base64") from None


def _xor(left: bytes, right: bytes) -> bytes:
    if len(left) != len(right):
        raise SaslAuthenticationFailed(f"a proof of {len(left)} bytes; {len(right)} are expected")
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
