"""Who may come in: PLAIN and SCRAM, played by the client's side of the RFCs."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import queue
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from tests.broker.caller import Caller
from tests.served import every_version, request_in
from zerocopy_lab.broker.access.sasl import PlainExchange, SaslHandler
from zerocopy_lab.broker.access.scram import Credential, ScramExchange
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.broker.timers import ManualTimers
from zerocopy_lab.errors import CloseConnection, SaslAuthenticationFailed
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Client, Now
from zerocopy_lab.protocol.later import Later
from zerocopy_lab.protocol.versions import ApiKey

USERS = {"alice": "secret", "comma,equals=": "päss"}
#: A name with a stray equals sign is no name, even if there is such a user.
KNOWN = ("alice", "a=2Xb", "a=", "a=3")
HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}


class ScramClient:
    """RFC 5802 from the other end."""

    def __init__(self, mechanism: str, user: str, password: str) -> None:
        self._hash = HASHES[mechanism]
        self._password = password
        escaped = user.replace("=", "=3D").replace(",", "=2C")
        self.bare = f"n={escaped},r=client-nonce"

    def final(self, server_first: bytes) -> bytes:
        fields = dict(part.split("=", 1) for part in server_first.decode().split(","))
        assert fields["r"].startswith("client-nonce")
        salt, iterations = base64.b64decode(fields["s"]), int(fields["i"])
        assert iterations >= 4096
        password = self._password.encode()
        self._salted = hashlib.pbkdf2_hmac(self._hash, password, salt, iterations)
        client_key = hmac.digest(self._salted, b"Client Key", self._hash)
        stored_key = hashlib.new(self._hash, client_key).digest()
        without_proof = f"c=biws,r={fields['r']}"
        self._signed = f"{self.bare},{server_first.decode()},{without_proof}".encode()
        signature = hmac.digest(stored_key, self._signed, self._hash)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def server_is_genuine(self, server_final: bytes) -> bool:
        server_key = hmac.digest(self._salted, b"Server Key", self._hash)
        signature = hmac.digest(server_key, self._signed, self._hash)
        return server_final == b"v=" + base64.b64encode(signature)


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    with Broker(BrokerSettings(log_dirs=(tmp_path,), sasl_users=USERS)) as broker:
        caller = Caller(broker)
        caller.client.authenticated = False
        yield caller


def authenticate(caller: Caller, message: bytes, version: int = 2) -> tuple[int, bytes]:
    answer = caller.call(ApiKey.sasl_authenticate, version, auth_bytes=message)
    return int(answer.error_code), answer.auth_bytes


def handshake(caller: Caller, mechanism: str) -> int:
    answer = caller.call(ApiKey.sasl_handshake, 1, mechanism=mechanism)
    assert answer.mechanisms == ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
    return int(answer.error_code)


def is_in(caller: Caller) -> bool:
    try:
        caller.call(ApiKey.list_groups, 0)
    except CloseConnection:
        return False
    return True


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.sasl_authenticate))
def test_plain(caller: Caller, key: ApiKey, version: int) -> None:
    assert not is_in(caller)
    assert handshake(caller, "PLAIN") == 0
    assert authenticate(caller, b"\0alice\0secret", version) == (0, b"")
    assert caller.client.principal == "User:alice"
    assert is_in(caller)


@pytest.mark.parametrize(
    "message",
    [
        b"\0alice\0wrong",
        b"\0alice\0",
        b"\0bob\0secret",
        b"\0\0",
        b"alice\0secret",
        b"bob\0alice\0secret",
        b"\0\xff\xfe\0secret",
        b"",
    ],
)
def test_who_is_refused_may_not_try_again(caller: Caller, message: bytes) -> None:
    handshake(caller, "PLAIN")
    assert authenticate(caller, message) == (58, b"")
    assert not is_in(caller)
    with pytest.raises(CloseConnection):
        handshake(caller, "PLAIN")


@pytest.mark.parametrize("mechanism", HASHES)
@pytest.mark.parametrize("user", USERS)
def test_scram(caller: Caller, mechanism: str, user: str) -> None:
    client = ScramClient(mechanism, user, USERS[user])
    assert handshake(caller, mechanism) == 0
    code, server_first = authenticate(caller, b"n,," + client.bare.encode())
    assert code == 0
    assert not is_in(caller)
    code, server_final = authenticate(caller, client.final(server_first))
    assert code == 0
    assert client.server_is_genuine(server_final)
    assert caller.client.principal == f"User:{user}"
    assert is_in(caller)


def bare(caller: Caller, message: bytes) -> bytes:
    """An exchange of frames that have a length and nothing else around the message."""
    reply = caller.broker.handle(memoryview(bytearray(message)), caller.client)
    assert isinstance(reply, Now)
    (whole,) = reply.pieces
    assert isinstance(whole, bytes)
    assert int.from_bytes(whole[:4], "big") == len(whole) - 4
    return whole[4:]


def test_after_the_first_handshake_version_messages_come_without_headers(caller: Caller) -> None:
    client = ScramClient("SCRAM-SHA-256", "alice", "secret")
    caller.call(ApiKey.sasl_handshake, 0, mechanism="SCRAM-SHA-256")
    server_final = bare(caller, client.final(bare(caller, b"n,," + client.bare.encode())))
    assert client.server_is_genuine(server_final)
    assert is_in(caller)


def test_without_headers_a_refusal_ends_the_connection(caller: Caller) -> None:
    caller.call(ApiKey.sasl_handshake, 0, mechanism="PLAIN")
    ends: queue.SimpleQueue[object] = queue.SimpleQueue()
    reply: Any = caller.broker.handle(memoryview(b"\0alice\0wrong"), caller.client)
    reply.on_complete(ends.put)
    assert "unknown user or wrong password" in str(ends.get(timeout=10))
    assert not caller.client.authenticated


def test_scram_with_a_wrong_password(caller: Caller) -> None:
    client = ScramClient("SCRAM-SHA-256", "alice", "wrong")
    handshake(caller, "SCRAM-SHA-256")
    _, server_first = authenticate(caller, b"n,," + client.bare.encode())
    assert authenticate(caller, client.final(server_first)) == (58, b"")
    assert not is_in(caller)


@pytest.mark.parametrize(
    "messages",
    [
        [b"\xff"],
        [b""],
        [b"n,,"],
        [b"n,,n=alice"],
        [b"p=tls-unique,,n=alice,r=x"],
        [b"n,,n=bob,r=x"],
        [b"n,,n=a=2Xb,r=x"],
        [b"n,,n=a=,r=x"],
        [b"n,,n=a=3,r=x"],
        [b"n,,n=alice,r=x", b"c=biws,r=x,p=AAAA"],
        [b"n,,n=alice,r=x", b"nothing"],
        [b"n,,n=alice,r=x", b"c=biws,r=NONCE,p=%%%"],
        [b"n,,n=alice,r=x", b"c=biws,r=NONCE,p=AAAA"],
        [b"n,,n=alice,r=x", b"c=eSws,r=NONCE,p=AAAA"],
    ],
)
def test_scram_refuses_what_is_no_scram(messages: list[bytes]) -> None:
    credential = Credential.of_password("SCRAM-SHA-256", "secret")
    exchange = ScramExchange("SCRAM-SHA-256", dict.fromkeys(KNOWN, credential).get)
    answer = b""
    for message in messages[:-1]:
        answer = exchange.respond(message)
    nonce = answer[2:].split(b",")[0]
    with pytest.raises(SaslAuthenticationFailed):
        exchange.respond(messages[-1].replace(b"NONCE", nonce))
    assert exchange.user is None


def test_the_order_matters(caller: Caller) -> None:
    assert authenticate(caller, b"\0alice\0secret")[0] == 34
    assert handshake(caller, "GSSAPI") == 33
    assert not is_in(caller)
    versions = caller.call(
        ApiKey.api_versions, 3, client_software_name="x", client_software_version="1"
    )
    assert versions.error_code == 0
    handshake(caller, "PLAIN")
    authenticate(caller, b"\0alice\0secret")
    assert handshake(caller, "PLAIN") == 34  # nothing to authenticate for


@pytest.mark.parametrize("bare_messages", [False, True])
def test_who_fails_is_told_so_after_a_delay_and_nobody_waits_for_it(
    tmp_path: Path, bare_messages: bool
) -> None:
    timers = ManualTimers()
    handler = SaslHandler(USERS, timers, failure_delay_ms=100)
    client = Client(1, "127.0.0.1", 4711, authenticated=False)
    client.exchange = PlainExchange(USERS)
    heard: list[Any] = []
    if bare_messages:
        reply = handler.bare_message(memoryview(b"\0alice\0wrong"), client)
    else:
        kind = messages.request_type(ApiKey.sasl_authenticate, 1)
        frame = messages.encode_request(1, 0, None, kind(auth_bytes=b"\0alice\0wrong"))[4:]
        reply = handler.sasl_authenticate(replace(request_in(frame), client=client))
    assert isinstance(reply, Later)
    reply.on_complete(heard.append)
    timers.advance(0.099)
    assert heard == []
    timers.advance(0.002)
    assert len(heard) == 1


def test_a_credential_is_made_when_its_user_comes(tmp_path: Path) -> None:
    """All at once would keep everybody waiting, milliseconds for each."""
    handler = SaslHandler({f"user-{n}": "x" for n in range(1000)}, ManualTimers(), 0)
    made: list[str] = []
    make = handler._make_credential

    def counted(mechanism: str, user: str) -> Credential:
        made.append(user)
        return make(mechanism, user)

    handler._credential = lru_cache(counted)
    for user in ("user-7", "nobody", "user-7"):
        exchange = handler._exchange("SCRAM-SHA-256")
        with contextlib.suppress(SaslAuthenticationFailed):
            exchange.respond(f"n,,n={user},r=x".encode())
    assert made == ["user-7"]
