"""What has been asked of the broker, as plain numbers."""

from __future__ import annotations

from collections import Counter
from threading import Lock

from zerocopy_lab.protocol.versions import ApiKey


class RequestCounters:
    """Requests by kind, and those that failed as a whole. Thread-safe, and exact."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_key = [0] * (max(ApiKey) + 1)
        self.errors: Counter[tuple[str, str]] = Counter()  # by kind and error

    @property
    def requests(self) -> dict[str, int]:
        """How many there were of each kind that occurred."""
        return {key.name: self._by_key[key] for key in ApiKey if self._by_key[key]}

    def count_request(self, api_key: ApiKey) -> None:
        """One more request of this kind."""
        with self._lock:
            self._by_key[api_key] += 1

    def count_error(self, api_key: ApiKey, error_name: str) -> None:
        """One more request of this kind that ended in this error."""
        with self._lock:
            self.errors[api_key.name, error_name] += 1
