"""Topics that are made or deleted while the broker dies, and what consumer groups keep of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.log.making import kill
from tests.log.power_off import PowerOff, before_operation
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.groups.records import CommittedOffset
from zerocopy_lab.broker.settings import BrokerSettings

WHERE = ("t", 0)


def _start(directory: Path) -> Broker:
    return Broker(BrokerSettings(log_dirs=(directory,)))


def _kill(broker: Broker) -> None:
    kill(broker.logs)
    broker.close()


def _commit(broker: Broker, offset: int) -> None:
    committed = {WHERE: CommittedOffset(offset, -1, "", 1 << 45)}
    assert broker.groups.offsets.commit("g", "", None, -1, committed) == {WHERE: None}


def test_a_new_topic_does_not_inherit_the_offsets_of_one_whose_deletion_was_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = _start(tmp_path)
    broker.logs.create_topic("t", 1)
    _commit(broker, 77)

    def dies(topic: str) -> None:
        raise PowerOff

    with pytest.raises(PowerOff):
        broker.logs.delete_topic("t", dies)
    _kill(broker)
    broker = _start(tmp_path)
    broker.logs.create_topic("t", 1)
    assert broker.groups.offsets.committed("g") == {}
    _commit(broker, 5)
    _kill(broker)
    broker = _start(tmp_path)
    assert broker.groups.offsets.committed("g")[WHERE].offset == 5, "forgotten once only"
    broker.close()


def test_offsets_topic_is_compacted_wherever_its_making_was_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, crashed = 0, True
    while crashed:
        directory = tmp_path / str(step)
        broker = _start(directory)
        broker.logs.create_topic("t", 1)
        counted = before_operation(step)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "mkdir", counted(Path.mkdir))
            patched.setattr(os, "replace", counted(os.replace))
            patched.setattr(os, "open", counted(os.open))
            try:
                _commit(broker, 42)
                crashed = False
            except PowerOff:
                pass
        _kill(broker)
        broker = _start(directory)
        if topic := broker.logs.topics().get("__consumer_offsets"):
            assert topic.settings.cleanup_policy == "compact"
        if not crashed:
            assert broker.groups.offsets.committed("g")[WHERE].offset == 42
        _commit(broker, 43)
        assert broker.logs.topics()["__consumer_offsets"].settings.cleanup_policy == "compact"
        broker.close()
        step += 1
    assert step > 5


def test_an_offsets_topic_without_settings_is_compacted_again(tmp_path: Path) -> None:
    """As one that comes with a copied directory, which knows no settings."""
    broker = _start(tmp_path)
    broker.logs.create_topic("t", 1)
    _commit(broker, 42)
    broker.close()
    (tmp_path / "topics.json").unlink()
    broker = _start(tmp_path)
    assert broker.logs.find("__consumer_offsets", 0).settings.cleanup_policy == "compact"
    assert broker.groups.offsets.committed("g")[WHERE].offset == 42
    broker.close()
