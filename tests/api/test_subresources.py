"""Status, scale and immutability: who may write what, and what nobody may."""

import pytest

from api.apiserver import ApiServer, Refused
from api.objects import STATUS, Object, deployment, only_status, version
from modelmend.api import names

pytestmark = [pytest.mark.api, pytest.mark.usefixtures("crds")]


def managers(known: Object) -> set[tuple[str, str]]:
    """(manager, subresource) of everybody who owns a field."""
    return {(entry["manager"], entry.get("subresource", "")) for entry in known["metadata"]["managedFields"]}


def test_status_that_modelmend_applies_leaves_spec_alone(api_client: ApiServer, namespace: str) -> None:
    before = api_client.create(deployment(namespace=namespace))
    sneaked = {**only_status(before, STATUS), "spec": deployment(suspend=True)["spec"]}

    after = api_client.apply(sneaked, manager=names.MANAGER, subresource="status")

    assert after["status"] == STATUS
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert (names.MANAGER, "status") in managers(after)
    assert (names.MANAGER, "") not in managers(after), "Modelmend owns no field outside of status"


def test_spec_that_a_person_applies_leaves_status_alone(api_client: ApiServer, namespace: str) -> None:
    made = api_client.apply(deployment(namespace=namespace), manager="flux")
    api_client.apply(only_status(made, STATUS), manager=names.MANAGER, subresource="status")
    sneaked = {**deployment(namespace=namespace, suspend=True), "status": {"stage": "Stalled"}}

    after = api_client.apply(sneaked, manager="flux")

    assert after["spec"]["suspend"] is True
    assert after["metadata"]["generation"] == made["metadata"]["generation"] + 1
    assert after["status"] == STATUS


def test_status_of_a_new_object_is_dropped(api_client: ApiServer, namespace: str) -> None:
    made = api_client.create({**deployment(namespace=namespace), "status": STATUS})

    assert "status" not in made


def test_condition_that_is_no_longer_applied_is_gone(api_client: ApiServer, namespace: str) -> None:
    made = api_client.create(deployment(namespace=namespace))
    ready = STATUS["conditions"][0]
    stalled = {**ready, "type": "Stalled"}

    api_client.apply(
        only_status(made, {**STATUS, "conditions": [ready, stalled]}),
        manager=names.MANAGER,
        subresource="status",
    )
    after = api_client.apply(only_status(made, STATUS), manager=names.MANAGER, subresource="status")

    assert [condition["type"] for condition in after["status"]["conditions"]] == ["Ready"]


def test_status_with_an_old_resource_version_is_refused(api_client: ApiServer, namespace: str) -> None:
    made = api_client.create(deployment(namespace=namespace))
    changed = api_client.merge(made, {"spec": {"suspend": True}})
    stale = only_status(made, STATUS)
    stale["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]

    with pytest.raises(Refused) as conflict:
        api_client.apply(stale, manager=names.MANAGER, subresource="status")

    assert conflict.value.code == 409
    assert changed["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"stage": "Sleeping"}, "stage"),
        ({"conditions": [{**STATUS["conditions"][0], "type": "Happy"}]}, "type"),
        ({"signals": [{**STATUS["signals"][0], "verdict": "Maybe"}]}, "verdict"),
        ({"rejected": ["sha256:short"]}, "rejected"),
        ({"stable": {**STATUS["stable"], "since": "yesterday"}}, "since"),
        ({"mood": "good"}, "mood"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_status_that_is_nonsense_is_refused(
    wrong: Object, field: str, api_client: ApiServer, namespace: str
) -> None:
    made = api_client.create(deployment(namespace=namespace))

    with pytest.raises(Refused, match=field):
        api_client.apply(only_status(made, {**STATUS, **wrong}), manager=names.MANAGER, subresource="status")


def test_scale_reads_and_writes_the_replicas(api_client: ApiServer, namespace: str) -> None:
    made = api_client.create(deployment(namespace=namespace))
    api_client.apply(only_status(made, STATUS), manager=names.MANAGER, subresource="status")
    at = api_client.path(made, of="scale")

    scale = api_client.request("GET", at)
    api_client.request("PUT", at, body={**scale, "spec": {"replicas": 7}})
    after = api_client.get(made)

    assert scale["spec"] == {"replicas": 1}
    assert scale["status"] == {"replicas": 2, "selector": STATUS["selector"]}
    assert after["spec"]["serving"]["replicas"] == 7
    assert after["status"] == STATUS


def test_scale_to_nothing_is_refused(api_client: ApiServer, namespace: str) -> None:
    made = api_client.create(deployment(namespace=namespace))
    at = api_client.path(made, of="scale")
    scale = api_client.request("GET", at)

    with pytest.raises(Refused, match="replicas"):
        api_client.request("PUT", at, body={**scale, "spec": {"replicas": 0}})


def test_replicas_that_an_autoscaler_wrote_survive_an_apply_that_names_none(
    api_client: ApiServer, namespace: str
) -> None:
    made = api_client.apply(deployment(namespace=namespace), manager="flux")
    at = api_client.path(made, of="scale")
    api_client.request("PUT", at, body={**api_client.request("GET", at), "spec": {"replicas": 7}})

    after = api_client.apply(deployment(namespace=namespace, suspend=True), manager="flux")

    assert after["spec"]["serving"]["replicas"] == 7


@pytest.mark.parametrize("field", ["digest", "uri", "because", "number", "rows"])
def test_model_version_never_changes(field: str, api_client: ApiServer, namespace: str) -> None:
    made = api_client.create(version(namespace=namespace, metrics={"accuracy": 0.9}))
    other = {"digest": f"sha256:{'2' * 64}", "number": 2, "rows": 5}.get(field, "another")

    with pytest.raises(Refused, match="a ModelVersion never changes"):
        api_client.merge(made, {"spec": {field: other}})


def test_model_version_keeps_its_optional_fields(api_client: ApiServer, namespace: str) -> None:
    made = api_client.create(version(namespace=namespace, metrics={"accuracy": 0.9}))

    with pytest.raises(Refused, match="a ModelVersion never changes"):
        api_client.merge(made, {"spec": {"metrics": None}})


def test_story_of_a_model_version_goes_on(api_client: ApiServer, namespace: str) -> None:
    made = api_client.create(version(namespace=namespace))
    story = {
        "state": "Champion",
        "since": "2026-01-01T00:00:00Z",
        "checkpoint": {
            "rollout": "00000000-1",
            "at": "2026-01-01T00:00:00.123456Z",
            "ledger": {"processes": {"a1": {"right": 10, "deep": [1.5, {"x": None}]}}, "detector": [1, 2.5]},
        },
    }

    after = api_client.apply(only_status(made, story), manager=names.MANAGER, subresource="status")

    assert after["status"] == story
