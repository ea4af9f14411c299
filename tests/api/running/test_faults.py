"""What happens to operators, and must do no harm: the same end, and nothing made twice."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from api.running.conftest import BY_LIST, BY_WATCH, DIGEST, KINDS, World, artifact
from api.running.proxy import WRITES, Proxy, Write, refusal
from localcluster.controlplane import ControlPlane

pytestmark = pytest.mark.api

MEND = "modelmend.dev/v1alpha1"


@pytest.fixture
def proxy(world: World, control_plane: ControlPlane, tmp_path: Path) -> Iterator[Proxy]:
    """Between the world's operator and the API server."""
    made = Proxy(control_plane, tmp_path)
    world.operator.kubeconfig = made.kubeconfig
    try:
        yield made
    finally:
        world.operator.kill()
        made.close()


@pytest.mark.parametrize("lost", [False, True], ids=["the answer came", "the answer was lost"])
def test_operator_killed_after_every_write_ends_the_same_and_makes_nothing_twice(
    world: World, proxy: Proxy, lost: bool
) -> None:
    world.node.results["resolve"] = artifact()
    kills = 0
    pending: list[Write] = []

    def kill_after(write: Write) -> None:
        nonlocal kills
        if write.is_ours and write.status < 300 and world.operator.process is not None:
            if lost:
                world.operator.kill()
                kills += 1
            else:
                pending.append(write)

    proxy.after = kill_after
    world.apply()
    world.operator.start(wait=False)
    deadline, looked = time.monotonic() + 900, 0.0
    while True:
        # A kill must be quick; to ask the API server as often would take the operators' time.
        if time.monotonic() - looked > 0.25:
            if world.condition("Ready").get("status") == "True" and not world.jobs():
                break
            looked = time.monotonic()
        assert looked < deadline, f"killed {kills} times: {world.status()}\n{world.operator.log()[-3000:]}"
        if pending and world.operator.process is not None:
            pending.clear()
            world.operator.kill()
            kills += 1
        if world.operator.process is None:
            world.release()
            world.operator.start(wait=False)
        time.sleep(0.01)

    assert kills >= 8
    assert proxy.creates() == [
        path.format(world.namespace)
        for path in (
            "/api/v1/namespaces/{}/secrets",
            "/api/v1/namespaces/{}/services",
            "/api/v1/namespaces/{}/services",
            "/apis/apps/v1/namespaces/{}/deployments",
            "/apis/batch/v1/namespaces/{}/jobs",
            "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes",
            "/apis/modelmend.dev/v1alpha1/namespaces/{}/modelversions",
        )
    ]
    assert world.backends() == [("flights-v1", 8080, 100)]
    assert world.status()["stable"]["digest"] == DIGEST


def test_leader_that_was_frozen_writes_nothing_when_it_wakes(world: World, proxy: Proxy) -> None:
    world.operator.flags = (BY_WATCH, "--lease-duration=6")
    world.installed()
    world.until("the resolve Job is gone", lambda: not world.jobs())
    world.operator.freeze()
    time.sleep(0.5)  # What was on its way arrives.
    lease = world.api.get(world.lease)
    lease["spec"]["holderIdentity"] = "another replica"
    lease["spec"]["renewTime"] = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() + 3600))
    world.api.replace(lease)
    world.api.delete(world.route() or {})  # Something that cries for a write.
    time.sleep(4.5)  # Two thirds of the Lease's duration, on the clock that a frozen process cannot stop.
    before = len(proxy.writes)

    world.operator.thaw()
    world.until(
        "it sees that it does not lead",
        lambda: (
            world.operator.metric("modelmend_operator_leader") == 0.0
            and "not leading" in world.operator.log()
        ),
    )
    time.sleep(2)

    assert proxy.writes[before:] == []
    assert world.route() is None


def test_standby_takes_over_at_once_when_the_leader_is_told_to_go(world: World) -> None:
    world.installed()
    standby = type(world.operator)(
        world.operator.kubeconfig,
        world.namespace,
        world.prometheus.url,
        world.operator.folder / "standby",
        (BY_WATCH,),
    )
    standby.folder.mkdir()
    standby.start()
    try:
        assert standby.metric("modelmend_operator_leader") == 0.0
        assert world.operator.stop() == 0
        world.until(
            "the standby leads", lambda: standby.metric("modelmend_operator_leader") == 1.0, seconds=8
        )
        world.api.delete(world.route() or {})
        world.until("the standby heals", lambda: world.backends() == [("flights-v1", 8080, 100)])
    finally:
        standby.kill()


@pytest.mark.parametrize(
    ("api_version", "kind", "name"),
    [
        ("apps/v1", "Deployment", "flights-v1"),
        ("v1", "Service", "flights-v1"),
        ("v1", "Service", "flights"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute", "flights"),
    ],
)
def test_child_that_is_deleted_by_hand_comes_back(
    world: World, api_version: str, kind: str, name: str
) -> None:
    world.installed()
    before = world.child(api_version, kind, name)
    assert before is not None

    world.api.delete(before)

    def is_back() -> bool:
        found = world.child(api_version, kind, name)
        return found is not None and found["metadata"]["uid"] != before["metadata"]["uid"]

    world.until(f"{kind} {name} is back", is_back)
    world.until_serving()
    assert world.backends() == [("flights-v1", 8080, 100)]


def test_fields_that_are_edited_by_hand_are_put_back(world: World) -> None:
    world.installed()
    deployment, route = world.deployment(), world.route()
    assert deployment is not None
    assert route is not None

    container = deployment["spec"]["template"]["spec"]["containers"][0]
    hacked = {**container, "image": "example.com/hacked:1"}
    world.api.merge(deployment, {"spec": {"template": {"spec": {"containers": [hacked]}}}})
    world.api.merge(route, {"spec": {"rules": [{**route["spec"]["rules"][0], "backendRefs": []}]}})
    world.api.merge(
        world.child("v1", "Service", "flights") or {}, {"spec": {"selector": {"modelmend.dev/version": "x"}}}
    )

    world.until(
        "the image is back",
        lambda: (
            (world.deployment() or {})["spec"]["template"]["spec"]["containers"][0]["image"]
            == container["image"]
        ),
    )
    world.until("the weights are back", lambda: world.backends() == [("flights-v1", 8080, 100)])
    world.until(
        "the Service is back",
        lambda: (
            (world.child("v1", "Service", "flights") or {})["spec"]["selector"]["modelmend.dev/version"]
            == "flights-v1"
        ),
    )


def test_name_that_somebody_else_owns_is_refused_and_untouched(world: World) -> None:
    taken = world.api.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "flights", "namespace": world.namespace},
            "spec": {"ports": [{"port": 80}], "selector": {"app": "of-somebody-else"}},
        }
    )
    world.node.results["resolve"] = artifact()
    world.operator.flags = (BY_LIST,)  # Nobody tells when the other's Service goes: it is looked up again.
    world.operator.start()
    world.apply()

    world.until("it is said", lambda: "Service flights" in str(world.status().get("conditions")))
    assert world.api.get(taken)["metadata"]["resourceVersion"] == taken["metadata"]["resourceVersion"]

    world.api.delete(taken)
    world.until_serving()


def test_namesake_begins_anew_after_a_deletion(world: World) -> None:
    before = world.installed()
    old = world.flights()
    world.api.delete(old)
    world.until("it is gone", lambda: _is_gone(world))

    world.apply()

    after = world.until_serving()
    assert world.flights()["metadata"]["uid"] != old["metadata"]["uid"]
    assert after["stable"]["rollout"] != before["stable"]["rollout"]
    deployment = world.deployment()
    assert deployment is not None
    assert deployment["metadata"]["ownerReferences"][0]["uid"] == world.flights()["metadata"]["uid"]


def test_children_deleted_while_no_watch_works_are_noticed_by_the_list(world: World, proxy: Proxy) -> None:
    world.operator.flags = (BY_LIST,)
    world.installed()
    proxy.watches = False
    time.sleep(1)

    world.api.delete(world.route() or {})

    world.until("the route is back", lambda: world.backends() == [("flights-v1", 8080, 100)], seconds=30)


@pytest.mark.parametrize("status", [401, 403, 410, 500])
def test_watches_that_are_refused_end_no_process_and_begin_again(
    world: World, proxy: Proxy, status: int
) -> None:
    world.installed()
    assert world.operator.process is not None
    process, refused = world.operator.process.pid, 0

    async def refuse(request: web.Request, _: bytes) -> web.Response | None:
        nonlocal refused
        if request.query.get("watch") == "true" and refused < 20:
            refused += 1
            return refusal(status, "Expired" if status == 410 else "Refused", "not now")
        return None

    proxy.fault = refuse
    proxy.cuts += 1
    world.until("watches were refused", lambda: refused >= 7)
    proxy.fault = None
    world.api.delete(world.route() or {})

    world.until("the route is back", lambda: world.backends() == [("flights-v1", 8080, 100)])
    assert world.operator.process.pid == process
    assert "not leading" not in world.operator.log()


def test_writes_that_fail_for_a_while_are_done_in_the_end_and_once(world: World, proxy: Proxy) -> None:
    until: float | None = None

    async def fail(request: web.Request, _: bytes) -> web.Response | None:
        nonlocal until
        if request.method not in WRITES or "/leases" in request.path:
            return None
        until = until or time.monotonic() + 4  # From the first one on: three tries at least.
        if time.monotonic() < until:
            refused.append(request.path)
            return refusal(503, "ServiceUnavailable", "etcd is away")
        return None

    refused: list[str] = []
    proxy.fault = fail
    world.installed()

    assert len(refused) >= 3
    assert len(proxy.creates()) == 7


def test_server_that_asks_for_patience_gets_it(world: World, proxy: Proxy) -> None:
    asked: list[float] = []

    async def busy(request: web.Request, _: bytes) -> web.Response | None:
        if request.method == "POST" and "/jobs" in request.path and len(asked) < 1:
            asked.append(time.monotonic())
            return refusal(429, "TooManyRequests", "later", **{"Retry-After": "4"})
        if request.method == "POST" and "/jobs" in request.path:
            asked.append(time.monotonic())
        return None

    proxy.fault = busy
    world.installed()

    assert asked[1] - asked[0] >= 3.9


def test_foreign_writer_before_every_first_write_changes_nothing_but_time(world: World, proxy: Proxy) -> None:
    disturbed: set[str] = set()

    async def disturb(request: web.Request, _: bytes) -> web.Response | None:
        path = request.path.removesuffix("/status")
        if (
            request.method == "PATCH"
            and "/leases" not in path
            and "/events" not in path
            and path not in disturbed
        ):
            disturbed.add(path)
            await asyncio.to_thread(
                world.api.request,
                "PATCH",
                path,
                body={"metadata": {"annotations": {"example.com/disturbed": "yes"}}},
                kind="application/merge-patch+json",
            )
        return None

    proxy.fault = disturb
    world.installed()

    assert disturbed
    assert any(write.status == 409 for write in proxy.writes)
    assert len(proxy.creates()) == 7


def test_upgraded_operator_restarts_no_model_pod(world: World) -> None:
    world.installed()
    before = world.until("all is quiet", lambda: None if world.jobs() else world.deployment())
    world.operator.stop()

    world.operator.flags = (*world.operator.flags, "--trusted-type=upgraded.Type")
    world.operator.start()
    looks = 'modelmend_operator_reconcile_total{result="ok"}'
    world.until("it leads", lambda: world.operator.metric(looks) >= 1)
    seen = world.operator.metric(looks)
    world.api.merge(world.flights(), {"metadata": {"annotations": {"example.com/look": "1"}}})
    world.until("one more look", lambda: world.operator.metric(looks) > seen)

    after = world.deployment()
    assert after is not None
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


def test_prometheus_that_is_gone_makes_verdicts_unknown_and_nothing_else(world: World) -> None:
    world.prometheus.down = True
    status = world.installed()

    assert status["signals"][0]["verdict"] == "Unknown"
    assert "Prometheus" in status["signals"][0]["because"]
    assert world.condition("Ready")["status"] == "True"

    world.prometheus.down = False
    world.until(
        "it says what is missing now", lambda: "Prometheus" not in world.status()["signals"][0]["because"]
    )


def test_checkpoint_is_written_at_the_end_and_taken_up_at_the_start(world: World) -> None:
    status = world.installed()
    rollout = status["stable"]["rollout"]
    world.until_polled()
    world.prometheus.labels(world.namespace, "flights", "flights-v1", rollout, right=450, wrong=50)
    world.until("the labels are seen", lambda: world.status()["signals"][0]["n"] == 500)

    assert world.operator.stop() == 0
    version = world.child(MEND, "ModelVersion", "flights-v1")
    assert version is not None
    assert version["status"]["checkpoint"]["ledger"]["counted"]["totals"] == {"right": 450, "wrong": 50}
    assert version["status"]["state"] == "Champion"
    assert world.api.get(world.lease)["spec"].get("holderIdentity", "") == ""

    world.prometheus.labels(world.namespace, "flights", "flights-v1", rollout, right=100)
    world.operator.start()
    world.until("nothing was counted twice", lambda: world.status()["signals"][0]["n"] == 600)


def test_operator_that_came_back_rolls_a_bad_canary_back(world: World) -> None:
    status = world.installed(
        rollout={"steps": [{"weight": 50}], "analysis": {"minLabels": 20, "margin": 0.05}},
        retraining={"cooldown": "1s"},
    )
    assert status["stable"]["version"] == "flights-v1"
    world.node.results["retrain"] = artifact(
        "sha256:" + "c" * 64, evaluation={"a": 5, "b": 60, "c": 935}, parent=DIGEST
    )
    world.api.merge(
        world.flights(), {"metadata": {"annotations": {"modelmend.dev/retrain-requested-at": "now"}}}
    )
    world.until_stage("Shadow")
    candidate = world.status()["candidate"]
    world.operator.kill()
    world.release()

    world.prometheus.pairs(
        world.namespace,
        "flights",
        "flights-v2",
        candidate["rollout"],
        both_right=100,
        candidate_only_wrong=60,
    )
    world.operator.start()

    world.until("it is rolled back", lambda: world.status().get("rejected") == ["sha256:" + "c" * 64])
    world.until("traffic is the champion's", lambda: world.backends() == [("flights-v1", 8080, 100)])
    world.until("its pods are gone", lambda: world.deployment("flights-v2") is None)


def test_logs_are_json_and_the_reason_is_one_sentence_everywhere(world: World) -> None:
    status = world.installed()

    lines = world.operator.lines()
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert any(line["message"] == status["because"] for line in lines)
    assert 'modelmend_operator_stage{name="flights"' in (
        world.operator._get(world.operator.metrics_port, "/metrics") or ""
    )
    world.until(
        "an Event says it",
        lambda: [
            event
            for event in world.api.objects("events.k8s.io/v1", "Event", world.namespace)
            if event.get("reportingController") == "modelmend.dev/operator"
        ],
    )


def _is_gone(world: World) -> bool:
    kinds = [kind for kind in KINDS if kind[1] not in ("Event", "Secret")]
    return not any(world.api.objects(*kind, world.namespace) for kind in kinds)
