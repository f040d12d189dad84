"""A certificate authority for tests: PEM files, made by the openssl command.

Good for two days, and for localhost alone.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """`broker` and `client` hold a key and a certificate each, signed by `authority`; nobody signed
    `stranger`.
    """

    authority: Path
    broker: Path
    client: Path
    stranger: Path


def make_certificates(directory: Path) -> Certificates:
    """Into an empty directory. Raises FileNotFoundError where there is no openssl command."""
    if shutil.which("openssl") is None:
        raise FileNotFoundError("there is no openssl command to make certificates with")
    _openssl(directory, *_new("authority", "/CN=Test authority"), "-x509", "-days", "2")
    for name, subject in (("broker", "/CN=localhost"), ("client", "/O=lab/CN=alice")):
        _openssl(directory, *_new(name, subject))
        (directory / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
        _openssl(
            directory,
            *f"x509 -req -in {name}.crt -CA authority.crt -CAkey authority.key".split(),
            *f"-CAcreateserial -days 2 -extfile names -out {name}.signed".split(),
        )
        (directory / f"{name}.crt").write_bytes((directory / f"{name}.signed").read_bytes())
    _openssl(directory, *_new("stranger", "/CN=mallory"), "-x509", "-days", "2")
    files = {}
    for name in ("broker", "client", "stranger"):
        files[name] = directory / f"{name}.pem"
        key, certificate = directory / f"{name}.key", directory / f"{name}.crt"
        files[name].write_bytes(key.read_bytes() + certificate.read_bytes())
    return Certificates(directory / "authority.crt", **files)


def _new(name: str, subject: str) -> list[str]:
    curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    return [*f"req {curve} -keyout {name}.key -out {name}.crt".split(), "-subj", subject]


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)
