"""A file system in a program: what goes through it is what lies below."""

from __future__ import annotations

from pathlib import Path

import pytest

from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring.another_python import ask_python

PROGRAM = """
import sys
from pathlib import Path
from zerocopy_lab.measuring.fuse_pass_through import passed_through

there, below = Path(sys.argv[1]), Path(sys.argv[2])
with passed_through(there, below) as why_not:
    if why_not:
        sys.exit(why_not)
    written = bytes(range(256)) * 2000
    (there / "a file").write_bytes(written)
    assert (below / "a file").read_bytes() == written
    with (there / "a file").open("r+b") as file:
        file.seek(300_000)
        file.write(b"changed")
        file.truncate(400_000)
    changed = written[:300_000] + b"changed" + written[300_007:400_000]
    assert (there / "a file").read_bytes() == (below / "a file").read_bytes() == changed
    (there / "a file").unlink()
    assert not list(below.iterdir())
    try:
        (there / "a file").read_bytes()
    except FileNotFoundError:
        print("gone")
assert not list(there.iterdir()), "unmounted"
"""


@pytest.mark.namespaces
def test_what_goes_through_is_what_lies_below(tmp_path: Path) -> None:
    there, below = tmp_path / "there", tmp_path / "below"
    there.mkdir()
    below.mkdir()
    try:
        said = ask_python(["-c", PROGRAM, str(there), str(below)], "--mount", "FUSE")
    except Unavailable as reason:
        if "/dev/fuse" in str(reason):
            pytest.skip(str(reason))
        raise
    assert said == "gone\n"
