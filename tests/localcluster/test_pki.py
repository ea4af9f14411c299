"""One authority for one cluster, made as a whole and made once."""

import ssl
from pathlib import Path

import pytest
from cryptography import x509

from localcluster import commands, pki

pytestmark = pytest.mark.skipif(commands.on_path("openssl") is None, reason="openssl is not installed")

SERVER = pki.Certificate("server", "/CN=server", ("10.88.0.1", "localhost"))
ADMIN = pki.client("admin", "admin", "system:masters")


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_server_answers_to_its_addresses_and_names(tmp_path: Path) -> None:
    keys = pki.ensure(tmp_path / "pki", [SERVER])

    names = (
        read(keys.certificate("server")).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    )

    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.88.0.1"]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]


def test_a_client_names_its_user_and_its_group(tmp_path: Path) -> None:
    keys = pki.ensure(tmp_path / "pki", [ADMIN])

    assert read(keys.certificate("admin")).subject.rfc4514_string() == "CN=admin,O=system:masters"


def test_certificates_and_keys_fit_each_other_and_the_authority(tmp_path: Path) -> None:
    keys = pki.ensure(tmp_path / "pki", [SERVER, ADMIN])
    context = ssl.create_default_context(cafile=str(keys.ca))

    context.load_cert_chain(keys.certificate("admin"), keys.key("admin"))

    read(keys.certificate("server")).verify_directly_issued_by(read(keys.ca))


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    first = pki.ensure(tmp_path / "pki", [SERVER]).ca.read_text()

    assert pki.ensure(tmp_path / "pki", [SERVER]).ca.read_text() == first


def test_other_names_make_everything_anew(tmp_path: Path) -> None:
    first = pki.ensure(tmp_path / "pki", [SERVER]).ca.read_text()

    keys = pki.ensure(tmp_path / "pki", [SERVER, ADMIN])

    assert keys.ca.read_text() != first
    assert keys.certificate("admin").exists()


def test_a_half_made_folder_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "ca.crt").write_text("half of a certif")

    assert read(pki.ensure(tmp_path / "pki", [SERVER]).ca)


def test_nobody_else_can_read_the_keys(tmp_path: Path) -> None:
    keys = pki.ensure(tmp_path / "pki", [SERVER])

    assert keys.folder.stat().st_mode & 0o077 == 0
