"""The users file of SASL, as editors on other systems write it, under any locale."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zerocopy_lab.commands.serve_settings import read_users

USERS = {"älice": "pässwörd", "bob": "b:ob", "carol": "½ \u2028 x"}
TEXT = "# names\n" + "".join(f"{name}:{password}\n" for name, password in USERS.items())


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["no mark", "byte-order mark"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_users_are_read_whatever_the_editor_adds(
    tmp_path: Path, mark: bytes, line_end: str
) -> None:
    for text in (TEXT, TEXT.removeprefix("# names\n")):
        path = tmp_path / "users"
        path.write_bytes(mark + text.replace("\n", line_end).encode())
        assert read_users(path) == USERS


def test_the_locale_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_bytes(TEXT.encode())
    script = (
        "import pathlib, sys; from zerocopy_lab.commands.serve_settings import read_users;"
        "sys.exit(ascii(sorted(read_users(pathlib.Path(sys.argv[1])))))"
    )
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", script, str(path)],
        env={**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.stderr.decode().strip() == ascii(sorted(USERS))


def test_what_is_wrong_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_bytes("älice:secret\n".encode("latin-1"))
    with pytest.raises(ValueError, match=rf"{path} is not in UTF-8"):
        read_users(path)
    path.write_text("alice\n")
    with pytest.raises(ValueError, match=f"{path}, line 1"):
        read_users(path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_users(tmp_path / "nowhere")
