"""The hostile requests of the table of silences: as large as the limits allow, and requests; and a
small run of the table.
"""

from __future__ import annotations

import struct
from typing import Any

import pytest

import zerocopy_lab.broker.broker  # noqa: F401 loads the handlers, which say what is served
from ci.attacks import silence
from ci.attacks.silence import arrays_in, attacks_of, varied
from zerocopy_lab.broker.serving import MOST_BYTES_DECODED, declared_versions
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Client, read_request
from zerocopy_lab.protocol.versions import ApiKey

LIMIT_BYTES = 8 << 10
SERVED = declared_versions()
DECODED = [ApiKey(key) for key in SERVED.keys() - {ApiKey.produce, ApiKey.fetch}]


@pytest.mark.parametrize("key", DECODED, ids=lambda key: key.name)
def test_an_array_of_every_request_is_filled(key: ApiKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole and readable, so that what is refused is not refused for a mistake of ours. (Smaller
    ones here, for they take long to make.)
    """
    assert MOST_BYTES_DECODED * 0.99 < silence.DECODED_BYTES < MOST_BYTES_DECODED
    monkeypatch.setattr(silence, "DECODED_BYTES", LIMIT_BYTES)
    version = SERVED[key].highest
    attacks = list(attacks_of(key, version))
    filled: Any = messages.request_type(key, version)
    assert bool([one for one in attacks if "×" in one.name]) >= bool(arrays_in(filled))
    for name, frame in attacks:
        body = memoryview(bytearray(frame))[4:]
        assert struct.unpack_from(">i", frame) == (len(body),)
        if "." in name:
            assert LIMIT_BYTES * 0.75 < len(body) <= LIMIT_BYTES
        request = read_request(body, Client(1, "127.0.0.1", 4711), SERVED)
        assert messages.decode(key, version, body, request.body_at)


def test_names_and_numbers_vary_and_a_known_name_does_not() -> None:
    types = messages.types_of(ApiKey.offset_commit, 8, "request")
    one = types.OffsetCommitRequestPartition(
        partition_index=0, committed_offset=1, committed_metadata=None
    )
    assert [varied(one, n, ["t"]).partition_index for n in (0, 7)] == [0, 7]
    topic = types.OffsetCommitRequestTopic(name="t", partitions=(one,))
    assert [varied(topic, n, ["a", "b"]).name for n in (0, 1, 2)] == ["a", "b", "a"]


def test_a_round_says_how_long_the_healthy_client_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long that was is the machine's affair; that it was served all the time is not."""
    monkeypatch.setattr(silence, "PARTITIONS", 20)
    attacks = [one for one in silence.fetch_requests() if "20,000 p" in one.name]
    attacks += [one for one in silence.produce_requests() if " 200,000 null" in one.name]
    assert len(attacks) == 2
    found = silence.measure(attacks)
    assert len(found.served_s) == len(found.silences_s) == 2
    assert min(*found.served_s, found.alone_s, found.peak_mib) > 0
    assert max(found.silences_s) > 0
