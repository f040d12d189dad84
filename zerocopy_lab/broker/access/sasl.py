"""SaslHandshake and SaslAuthenticate: who is there, on listeners that want to know.

    ApiVersions (if the client likes) --> SaslHandshake: a mechanism --> SaslAuthenticate, once or
    twice --> everything else

Before that, dispatch lets nothing else through. Mechanisms: PLAIN (name and password in the clear:
use it over TLS) and SCRAM. A connection whose authentication failed may not try again; it hears
why after `connection.failed.authentication.delay.ms`, so that guessing takes time (KIP-306), and
its next request ends it.

After SaslHandshake 0 (clients of before 2017) the messages of the exchange are frames without
Kafka's headers.

Left out: Kerberos, OAuth, and an end to a session's life (KIP-368). There are no access control
lists: whoever is known may do everything.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache, partial
from typing import Any, Protocol

from zerocopy_lab.broker.access.scram import MECHANISMS as SCRAM_MECHANISMS
from zerocopy_lab.broker.access.scram import Credential, ScramExchange
from zerocopy_lab.broker.serving import answers, serves
from zerocopy_lab.broker.timers import Timers
from zerocopy_lab.errors import (
    CloseConnection,
    IllegalSaslState,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanism,
)
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Answer, Client, HangUp, Now, Reply, Request, framed
from zerocopy_lab.protocol.later import Later
from zerocopy_lab.protocol.versions import ApiKey

MECHANISMS = ("PLAIN", *SCRAM_MECHANISMS)


class Exchange(Protocol):
    """One authentication under way."""

    user: str | None

    def respond(self, message: bytes) -> bytes:
        """Our answer; `user` is set when that was all. Raises SaslAuthenticationFailed."""
        ...


class PlainExchange:
    """PLAIN (RFC 4616): identity, name and password with zero bytes between them."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self.user: str | None = None
        self._users = users

    def respond(self, message: bytes) -> bytes:
        """Nothing, if name and password are right."""
        parts = message.split(b"\0")
        if len(parts) != 3:
            raise SaslAuthenticationFailed("PLAIN wants identity, name and password")
        identity, name, password = parts
        user = name.decode(errors="replace")
        if identity not in (b"", name):
            raise SaslAuthenticationFailed("nobody may act as somebody else here")
        known = self._users.get(user, "").encode()
        if not known or not hmac.compare_digest(known, password):
            raise SaslAuthenticationFailed("unknown user or wrong password")
        self.user = user
        return b""


class SaslHandler:
    """Answers both requests; `users` are names and passwords."""

    def __init__(self, users: Mapping[str, str], timers: Timers, failure_delay_ms: int) -> None:
        self._users = users
        self._timers = timers
        self._failure_delay_s = failure_delay_ms / 1000
        # Made one by one, as each costs milliseconds, which all users together must not.
        self._credential = lru_cache(maxsize=10_000)(self._make_credential)

    @answers(ApiKey.sasl_handshake, 0, 1, "0: the exchange follows without Kafka's headers")
    def sasl_handshake(self, request: Any, context: Request) -> messages.Entity:
        """Agree on a mechanism."""
        client, code = context.client, 0
        if client.authenticated:
            code = IllegalSaslState.code
        elif client.refused:
            raise CloseConnection("it failed to authenticate, and tries again")
        elif request.mechanism not in MECHANISMS:
            code = UnsupportedSaslMechanism.code
        else:
            client.exchange = self._exchange(request.mechanism)
            client.exchange_is_bare = context.api_version == 0
        types = messages.response_types(context.api_key, context.api_version)
        return messages.make(
            types.SaslHandshakeResponse,
            error_code=messages.error_code(code),
            mechanisms=MECHANISMS,
        )

    def _exchange(self, mechanism: str) -> Exchange:
        if mechanism == "PLAIN":
            return PlainExchange(self._users)
        return ScramExchange(mechanism, partial(self._find, mechanism))

    def _find(self, mechanism: str, user: str) -> Credential | None:
        return self._credential(mechanism, user) if user in self._users else None

    def _make_credential(self, mechanism: str, user: str) -> Credential:
        return Credential.of_password(mechanism, self._users[user])

    @serves(ApiKey.sasl_authenticate, 0, 2, "1: how long it lasts")
    def sasl_authenticate(self, context: Request) -> Reply:
        """One message of the exchange."""
        client, answer = context.client, b""
        error: KafkaError | None = None
        if client.exchange is None:
            raise IllegalSaslState("SaslHandshake comes first")
        try:
            answer = _respond(client, messages.body_of(context).auth_bytes)
        except SaslAuthenticationFailed as refusal:
            error = refusal
        types = messages.response_types(context.api_key, context.api_version)
        response = messages.make(
            types.SaslAuthenticateResponse,
            error_code=messages.error_code(error.code if error else 0),
            error_message=str(error) if error else None,
            auth_bytes=answer,
            session_lifetime=timedelta(0),
        )
        reply = messages.answer(context, response)
        return reply if error is None else self._after_the_delay(reply)

    def _after_the_delay(self, answer: Answer) -> Later:
        later = Later()

        def complete() -> None:
            later.complete(answer)

        self._timers.call_later(self._failure_delay_s, complete)
        return later

    def bare_message(self, frame: memoryview, client: Client) -> Reply:
        """A frame after SaslHandshake 0, which is nothing but a message of the exchange."""
        try:
            answer = _respond(client, bytes(frame))
        except SaslAuthenticationFailed as refusal:
            return self._after_the_delay(HangUp(f"authentication failed: {refusal}"))
        return Now((framed(answer),))


def _respond(client: Client, message: bytes) -> bytes:
    """Our answer. Raises SaslAuthenticationFailed; the client may not try again."""
    exchange: Exchange = client.exchange
    try:
        answer = exchange.respond(message)
    except SaslAuthenticationFailed:
        client.exchange, client.refused = None, True
        raise
    if exchange.user is not None:
        client.principal = f"User:{exchange.user}"
        client.exchange, client.authenticated, client.exchange_is_bare = None, True, False
    return answer
