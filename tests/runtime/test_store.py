"""URIs: what is read, written, listed and deleted where, and the one sentence when it is not."""

import datetime as dt
import http.server
import re
import ssl
import threading
from pathlib import Path

import fsspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from modelmend.runtime import artifact, store
from modelmend.runtime.errors import NotFoundError, StoreError


def test_a_file_is_written_whole_read_listed_and_deleted(tmp_path):
    root = tmp_path.as_uri()
    store.write(f"{root}/a/b.bin", b"one")
    store.write(f"{root}/a/b.bin", b"two")
    assert store.read(f"{root}/a/b.bin") == b"two"
    assert store.exists(f"{root}/a/b.bin")
    (entry,) = store.listing(root)
    assert (entry.name, entry.size) == ("a/b.bin", 3)
    assert abs((dt.datetime.now(dt.UTC) - entry.modified).total_seconds()) < 60
    store.delete(f"{root}/a/b.bin")
    store.delete(f"{root}/a/b.bin")
    assert store.listing(root) == ()
    assert not store.exists(f"{root}/a/b.bin")


def test_a_claim_is_a_folder_of_this_pod(mounts):
    (mounts / "models").mkdir()
    store.write("pvc://models/flights/v0/x", b"hello")
    assert (mounts / "models" / "flights" / "v0" / "x").read_bytes() == b"hello"
    assert [entry.name for entry in store.listing("pvc://models/flights")] == ["v0/x"]
    store.delete_folder("pvc://models/flights/v0")
    assert list((mounts / "models" / "flights").iterdir()) == []


def test_a_write_that_fails_leaves_nothing_and_no_half_file_is_listed(tmp_path, monkeypatch):
    (tmp_path / ".model.skops.writing").write_bytes(b"half")
    monkeypatch.setattr(
        "os.fsync", lambda number: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(StoreError, match="cannot be written: the disk is full"):
        store.write(f"{tmp_path.as_uri()}/x", b"content")
    assert store.listing(tmp_path.as_uri()) == ()
    assert [path.name for path in tmp_path.iterdir()] == [".model.skops.writing"]


def test_written_files_can_be_read_by_pods_of_other_users(tmp_path):
    store.write(f"{tmp_path.as_uri()}/x", b"content")
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o644


def test_a_folder_that_is_not_there_is_an_empty_listing(tmp_path):
    assert store.listing((tmp_path / "nothing").as_uri()) == ()
    store.delete_folder((tmp_path / "nothing").as_uri())


def test_names_with_spaces_and_odd_signs_come_through(tmp_path):
    folder = tmp_path / "a b#c [x]*"
    store.write(folder.as_uri() + "/f%20g", b"1")
    assert store.read(folder.as_uri() + "/f%20g") == b"1"
    store.delete_folder(folder.as_uri())
    assert not folder.exists()


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("flights/v0", "flights/v0 has no scheme that Modelmend reads: use file:///path"),
        ("http://host/model", "http://host/model has no scheme that Modelmend reads"),
        ("memory://x", "memory://x has no scheme"),
        ("file://relative/path", "write file:///relative/path if that is meant"),
        ("pvc://", "names no claim: write pvc://claim/path"),
        ("pvc:///path", "names no claim: write pvc://claim/path"),
        ("pvc://gone/path", "is not mounted in this pod: the claim 'gone' must exist"),
        ("file:///a/../../etc", "climbs with '..'"),
        ("pvc://models/../other", "climbs with '..'"),
        ("s3://bucket/../other", "climbs with '..'"),
        ("file:///definitely/not/here", "does not exist: check the URI"),
    ],
)
def test_a_uri_that_is_none_is_one_sentence(uri, sentence, mounts):
    with pytest.raises(StoreError) as caught:
        store.read(uri)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("s3://key:secret@bucket/m", "s3://bucket/m"),
        ("https://user:secret@host/m?sig=secret", "https://host/m"),
        ("https://host/m?X-Amz-Signature=secret#secret", "https://host/m"),
        (
            "abfs://container@account.dfs.core.windows.net/m/",
            "abfs://container@account.dfs.core.windows.net/m",
        ),
        ("s3://bucket/m/", "s3://bucket/m"),
        ("pvc://claim/m", "pvc://claim/m"),
    ],
)
def test_a_uri_is_shown_without_its_credentials(uri, shown):
    assert store.shown(uri) == shown


def test_a_uri_with_a_credential_is_refused_without_repeating_it():
    with pytest.raises(StoreError) as caught:
        store.read("s3://AKIAKEY:hunter2@bucket/m")
    assert "carries a credential: remove it and name a Secret" in str(caught.value)
    assert "hunter2" not in str(caught.value)


class Hostile:
    """A store whose every error quotes a secret."""

    def __init__(self, problem):
        self.problem = problem

    def __getattr__(self, name):
        def fail(*arguments, **options):
            raise self.problem

        return fail


def named(name, **attributes):
    return type(name, (Exception,), attributes)("https://host/?sig=hunter2 secret_key=hunter2")


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (PermissionError(13, "hunter2"), "access is denied"),
        (FileNotFoundError("hunter2"), "does not exist"),
        (OSError(30, "hunter2"), "mounted read-only"),
        (OSError(5, "hunter2"), "Input/output error"),
        (OSError("hunter2"), "cannot be read (OSError)"),
        (TimeoutError("hunter2"), "its endpoint does not answer (TimeoutError)"),
        (named("EndpointConnectionError"), "its endpoint does not answer"),
        (named("NoCredentialsError"), "no usable credentials (NoCredentialsError)"),
        (named("ClientAuthenticationError"), "no usable credentials (ClientAuthenticationError)"),
        (named("ClientResponseError", status=403), "access is denied"),
        (named("ClientResponseError", status=404), "does not exist"),
        (named("ClientResponseError", status=500), "cannot be read (ClientResponseError)"),
        (ValueError("hunter2"), "cannot be read (ValueError): try again"),
    ],
)
def test_no_credential_is_ever_in_an_error(problem, sentence, monkeypatch):
    monkeypatch.setattr(store, "filesystem", lambda uri: (Hostile(problem), "path"))
    with pytest.raises(StoreError) as caught:
        store.read("s3://bucket/m")
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("s3://bucket/m ")
    assert "hunter2" not in str(caught.value)
    assert isinstance(caught.value, NotFoundError) == ("does not exist" in sentence)


def test_a_library_that_is_missing_is_named_by_its_extra(monkeypatch):
    def absent(uri, **options):
        raise ImportError("Install gcsfs")

    monkeypatch.setattr("fsspec.core.url_to_fs", absent)
    with pytest.raises(StoreError, match=r"use an image with modelmend\[gcs\]"):
        store.read("gs://bucket/m")


@pytest.fixture(scope="module")
def website(tmp_path_factory, champion):
    """An https server over the champion's folder, with a certificate that nobody knows. (address, certificate)"""
    root = tmp_path_factory.mktemp("https")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = root / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    folder = champion.uri.removeprefix("file://")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=folder)

        def do_GET(self):
            if "denied" in self.path:
                self.send_error(403)
            else:
                super().do_GET()

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://localhost:{server.server_port}", pem
    server.shutdown()
    thread.join()
    server.server_close()


def trust(certificate, monkeypatch):
    """What SSL_CERT_FILE does for a process that starts with it."""
    context = ssl.create_default_context(cafile=certificate)
    monkeypatch.setitem(store._OPTIONS, "https", {**store._OPTIONS["https"], "ssl": context})


def test_an_artifact_is_loaded_over_https(website, champion, monkeypatch):
    address, certificate = website
    trust(certificate, monkeypatch)
    assert artifact.load(address, champion.digest).digest == champion.digest


def test_https_says_what_is_wrong(website, monkeypatch):
    address, certificate = website
    trust(certificate, monkeypatch)
    with pytest.raises(NotFoundError, match="does not exist"):
        store.read(f"{address}/nothing")
    with pytest.raises(StoreError, match="access is denied"):
        store.read(f"{address}/denied?token=hunter2")


def test_https_without_a_trusted_certificate_is_refused(website):
    address, _ = website
    with pytest.raises(StoreError, match="does not answer"):
        store.read(f"{address}/manifest.json")


def test_the_mount_of_a_claim_is_where_the_operator_mounts_it():
    assert store.storage.mount_path("models") == Path("/mnt/pvc/models")


@pytest.mark.parametrize("scheme", ["s3", "gs", "abfs", "https"])
def test_library_of_each_scheme_that_the_schema_accepts_is_in_the_lock_of_model_pods(scheme):
    library = fsspec.get_filesystem_class(scheme).__module__.partition(".")[0]
    library = {"fsspec": "aiohttp"}.get(library, library)  # fsspec's own https needs it.
    locked = (Path(__file__).parents[2] / "locks/runtime.txt").read_text()
    assert re.search(rf"^{library}==", locked, re.MULTILINE)
