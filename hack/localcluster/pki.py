"""Keys and certificates of one cluster, by openssl (the standard library can read certificates but not make them).

Elliptic curves, because ten RSA keys would cost more time than the API server's start.
"""

import dataclasses
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from localcluster import commands

DAYS = 3650


@dataclasses.dataclass(frozen=True)
class Certificate:
    """One certificate to issue: its file name, its subject, and for a server the names it answers to."""

    name: str
    subject: str
    names: tuple[str, ...] = ()


def client(name: str, user: str, group: str = "") -> Certificate:
    """A client certificate; Kubernetes reads the user from CN and the group from O."""
    return Certificate(name, (f"/O={group}" if group else "") + f"/CN={user}")


@dataclasses.dataclass(frozen=True)
class Pki:
    """The folder with the finished files."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.certificate("ca")

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"


def ensure(folder: Path, certificates: Sequence[Certificate]) -> Pki:
    """The folder with a CA, a pair of keys for service accounts and the certificates.

    Made as a whole: if one certificate is missing, outdated or meant for other names, all are made anew, since
    a mixture of two CAs fails in ways that nobody wants to read.
    """
    wanted = json.dumps([dataclasses.asdict(certificate) for certificate in certificates], indent=1)
    made_for = folder / "made-for.json"
    if (
        made_for.exists()
        and made_for.read_text() == wanted
        and time.time() - made_for.stat().st_mtime < DAYS * 86400 / 2
    ):
        return Pki(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".pki-") as scratch:
        draft = Path(scratch) / "pki"
        draft.mkdir(mode=0o700)
        _make(Pki(draft), certificates)
        (draft / "made-for.json").write_text(wanted)
        if folder.exists():
            shutil.rmtree(folder)
        draft.replace(folder)
    return Pki(folder)


def _make(pki: Pki, certificates: Sequence[Certificate]) -> None:
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _openssl(
        "req",
        "-x509",
        *curve,
        "-days",
        str(DAYS),
        "-subj",
        "/CN=modelmend-local",
        "-keyout",
        pki.key("ca"),
        "-out",
        pki.ca,
    )
    _openssl(
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-out",
        pki.key("service-accounts"),
    )
    _openssl(
        "pkey", "-in", pki.key("service-accounts"), "-pubout", "-out", pki.folder / "service-accounts.pub"
    )
    for number, certificate in enumerate(certificates, start=1):
        request = pki.folder / f"{certificate.name}.csr"
        extensions = pki.folder / f"{certificate.name}.ext"
        extensions.write_text(_extensions(certificate))
        _openssl(
            "req", *curve, "-subj", certificate.subject, "-keyout", pki.key(certificate.name), "-out", request
        )
        _openssl(
            "x509", "-req", "-in", request, "-CA", pki.ca, "-CAkey", pki.key("ca"), "-set_serial", str(number),
            "-days", str(DAYS), "-extfile", extensions, "-out", pki.certificate(certificate.name),
        )  # fmt: skip
        request.unlink()
        extensions.unlink()


def _extensions(certificate: Certificate) -> str:
    lines = [
        "basicConstraints=CA:FALSE",
        "keyUsage=digitalSignature",
        "extendedKeyUsage=clientAuth,serverAuth",
    ]
    if certificate.names:
        kinds = (
            f"{'IP' if name.replace('.', '').isdecimal() else 'DNS'}:{name}" for name in certificate.names
        )
        lines.append("subjectAltName=" + ",".join(kinds))
    return "\n".join(lines) + "\n"


def _openssl(*words: str | Path) -> None:
    commands.run(["openssl", *words], purpose=f"make a key or a certificate (openssl {words[0]})")
