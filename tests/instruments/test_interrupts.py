"""Interrupts of the disk below a path, from the kernel's table."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zerocopy_lab.instruments import interrupts
from zerocopy_lab.instruments.interrupts import disk_interrupts
from zerocopy_lab.instruments.unavailable import Unavailable

TABLE = """\
           CPU0       CPU1
 35:          0          1  PCI-MSIX-0000:00:02.0   0-edge      virtio1-config
 36:         10     699122  PCI-MSIX-0000:00:02.0   1-edge      virtio1-req.0
 37:          5          6  PCI-MSIX-0000:00:02.0   2-edge      virtio1-req.1
 38:          0       8872  PCI-MSIX-0000:00:03.0   1-edge      virtio10-req.0
 40:          7          0  PCI-MSI 1048576-edge      nvme0q1
 41:          2          3  PCI-MSI 1048577-edge      nvme0q2
NMI:          0          0   Non-maskable interrupts
"""


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's tables as files of our own; the place of the disk is set by `disk_at`."""
    (tmp_path / "interrupts").write_text(TABLE)
    (tmp_path / "block").mkdir()
    monkeypatch.setattr(interrupts, "_INTERRUPTS", tmp_path / "interrupts")
    monkeypatch.setattr(interrupts, "_DEVICES", tmp_path / "block")
    return tmp_path


def disk_at(tables: Path, place: str) -> None:
    number = os.stat(tables).st_dev
    (tables / place).mkdir(parents=True)
    (tables / "block" / f"{os.major(number)}:{os.minor(number)}").symlink_to(tables / place)


def test_the_queues_of_a_virtual_disk_are_added_up_over_the_processors(tables: Path) -> None:
    disk_at(tables, "sys/devices/pci0000:00/0000:00:02.0/virtio1/block/vda/vda1")
    assert disk_interrupts(tables) == 10 + 699122 + 5 + 6


def test_the_queues_of_an_nvme_disk(tables: Path) -> None:
    disk_at(tables, "sys/devices/pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1")
    assert disk_interrupts(tables) == 7 + 0 + 2 + 3


def test_a_disk_without_a_line_is_not_counted_as_zero(tables: Path) -> None:
    disk_at(tables, "sys/devices/pci0000:00/0000:00:07.0/virtio7/block/vdb")
    with pytest.raises(Unavailable, match="names vdb or virtio7"):
        disk_interrupts(tables)


def test_a_file_system_without_a_disk_says_so(tables: Path) -> None:
    with pytest.raises(Unavailable, match="without a block device"):
        disk_interrupts(tables)
