"""From a frame to an answer: what is asked, who answers, and what an error becomes.

    frame --> header --> the handler of that request --> Reply

An error that a handler raises is about the whole request, and becomes the response that says its
number and nothing else. (What concerns one partition, the handlers say for themselves.) Where a
response cannot say it, the connection ends.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from threading import Lock

from zerocopy_lab.broker.own_thread import Aside
from zerocopy_lab.broker.serving import Handler, declared
from zerocopy_lab.errors import CloseConnection, KafkaError
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Client, Now, Reply, Request, read_request
from zerocopy_lab.protocol.versions import ApiKey, Unserved, VersionRange

_LOGGER = logging.getLogger(__name__)

#: What a client may say before it is authenticated.
_BEFORE_AUTHENTICATION = {ApiKey.api_versions, ApiKey.sasl_handshake, ApiKey.sasl_authenticate}


class Dispatch:
    """The table of handlers; each request is counted."""

    def __init__(
        self,
        owners: Iterable[object],
        refuse: Callable[[Unserved, Client], Reply],
        bare_sasl: Callable[[memoryview, Client], Reply],
        aside: Aside,
    ) -> None:
        """`owners` are the objects whose methods are marked as answering something; what none of
        them answers, `refuse` does.
        """
        self._served = {one.versions.api_key: one for one in declared(owners)}
        self._refuse = refuse
        self._bare_sasl = bare_sasl
        self._aside = aside
        self._lock = Lock()
        self._requests: Counter[ApiKey] = Counter()
        #: How many requests of a kind ended in which error.
        self.errors: Counter[tuple[str, str]] = Counter()
        self.versions: dict[int, VersionRange] = {k: s.versions for k, s in self._served.items()}

    def __call__(self, frame: memoryview, client: Client) -> Reply:
        """Answer one frame (without its length), whose buffer is used again afterwards. Raises
        CloseConnection when there is no answer.
        """
        if not client.authenticated and client.exchange_is_bare:
            return self._bare_sasl(frame, client)
        try:
            request = read_request(frame, client, self.versions)
        except Unserved as unserved:
            return self._refuse(unserved, client)
        key = request.api_key
        if not client.authenticated and key not in _BEFORE_AUTHENTICATION:
            raise CloseConnection(f"{key.name} from a client that is not authenticated")
        with self._lock:
            self._requests[key] += 1
        served = self._served[key]
        if len(frame) >= served.large_bytes:
            return self._aside.answer(request, served, self._failed)
        try:
            return served.answer(request)
        except KafkaError as error:
            return self._failed(request, error)

    def wrap(self, api_key: ApiKey, around: Callable[[Handler], Handler]) -> None:
        """Have another handler answer this request from now on, which is given the present one."""
        served = self._served[api_key]
        self._served[api_key] = served._replace(answer=around(served.answer))

    @property
    def requests(self) -> dict[str, int]:
        """How many there were of each kind."""
        with self._lock:
            return {key.name: count for key, count in self._requests.items()}

    def _failed(self, request: Request, error: KafkaError) -> Now:
        name = type(error).__name__
        with self._lock:
            self.errors[request.api_key.name, name] += 1
        _LOGGER.info("%s of %s: %s: %s", request.api_key.name, request.client, name, error)
        return messages.failure(request, error)
