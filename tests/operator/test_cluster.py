"""The registry: the newest word about each object wins, and what is gone stays gone."""

from dataclasses import dataclass
from typing import Any

import pytest

from modelmend.observe import cluster

Object = dict[str, Any]
KEY = ("ml", "flights")


def deployment(version: int, *, uid: str = "u1", name: str = "flights-v1", **more: Any) -> Object:
    """A server's Deployment at some resourceVersion."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": "ml",
            "uid": uid,
            "resourceVersion": str(version),
            "generation": 1,
            "labels": {"app.kubernetes.io/instance": "flights"},
            "managedFields": [{"manager": "modelmend"}],
        },
        "spec": {"template": {"spec": {"image": "a"}}},
        "status": {},
    } | more


@dataclass
class Listing:
    """A LIST."""

    items: list[Object]
    resource_version: str


@pytest.fixture
def seen() -> cluster.Cluster:
    return cluster.Cluster()


def test_news_concern_the_model_that_the_label_names(seen: cluster.Cluster) -> None:
    assert seen.put(deployment(1)) == KEY
    assert seen.children(KEY, cluster.DEPLOYMENT)[0]["metadata"]["name"] == "flights-v1"
    assert "managedFields" not in seen.children(KEY, cluster.DEPLOYMENT)[0]["metadata"]


def test_same_and_older_words_are_no_news(seen: cluster.Cluster) -> None:
    seen.put(deployment(9))

    assert seen.put(deployment(9)) is None
    assert seen.put(deployment(8, status={"replicas": 7})) is None
    assert seen.live("Deployment", "ml", "flights-v1")["status"] == {}  # type: ignore[index]
    assert seen.put(deployment(10)) == KEY


def test_object_that_was_deleted_does_not_come_back_by_an_old_word(seen: cluster.Cluster) -> None:
    seen.put(deployment(9))
    assert seen.drop(deployment(12)) == KEY

    assert seen.put(deployment(11)) is None
    assert seen.children(KEY, cluster.DEPLOYMENT) == []


def test_object_that_we_deleted_stays_gone_whatever_is_still_on_its_way(seen: cluster.Cluster) -> None:
    seen.put(deployment(9))
    seen.drop(deployment(9), for_good=True)
    seen.drop(deployment(14))

    assert seen.put(deployment(12)) is None
    assert seen.put(deployment(15)) is None
    assert seen.children(KEY, cluster.DEPLOYMENT) == []


def test_object_whose_label_was_taken_away_and_given_back_is_known_again(seen: cluster.Cluster) -> None:
    """A watch by label tells of it as of a deletion; and a list does not have it."""
    seen.put(deployment(9))
    seen.drop(deployment(12))
    assert seen.put(deployment(13)) == KEY

    seen.resync(cluster.DEPLOYMENT, Listing([], "20"))
    assert seen.children(KEY, cluster.DEPLOYMENT) == []
    assert seen.put(deployment(21)) == KEY


def test_deletion_of_a_namesake_leaves_the_one_that_came_after(seen: cluster.Cluster) -> None:
    seen.put(deployment(9))
    seen.put(deployment(12, uid="u2"))

    assert seen.drop(deployment(9)) is None
    assert seen.live("Deployment", "ml", "flights-v1")["metadata"]["uid"] == "u2"  # type: ignore[index]


def test_list_drops_what_is_gone_and_keeps_what_came_after_it_was_read(seen: cluster.Cluster) -> None:
    seen.put(deployment(5, uid="stays", name="stays"))
    seen.put(deployment(6, uid="went", name="went"))
    seen.put(deployment(30, uid="new", name="new"))

    changed = seen.resync(cluster.DEPLOYMENT, Listing([deployment(5, uid="stays", name="stays")], "20"))

    assert changed == {KEY}
    assert [live["metadata"]["name"] for live in seen.children(KEY, cluster.DEPLOYMENT)] == ["new", "stays"]


def test_list_of_one_namespace_says_nothing_about_another(seen: cluster.Cluster) -> None:
    seen.put(deployment(5))

    assert seen.resync(cluster.DEPLOYMENT, Listing([], "20"), "other") == set()
    assert seen.children(KEY, cluster.DEPLOYMENT) != []


def test_object_whose_label_changes_moves_to_the_other_model(seen: cluster.Cluster) -> None:
    seen.put(deployment(5))
    moved = deployment(6)
    moved["metadata"]["labels"]["app.kubernetes.io/instance"] = "trains"
    assert seen.put(moved) == KEY, "the one that has lost it must hear of it"

    assert seen.children(KEY, cluster.DEPLOYMENT) == []
    assert len(seen.children(("ml", "trains"), cluster.DEPLOYMENT)) == 1


def test_template_counts_as_observed_until_it_changes_and_scaling_does_not_change_it(
    seen: cluster.Cluster,
) -> None:
    def at(version: int, generation: int, observed: int, image: str = "a") -> tuple[str, str]:
        live = deployment(version, status={"observedGeneration": observed})
        live["metadata"]["generation"] = generation
        live["spec"] = {"replicas": generation, "template": {"spec": {"image": image}}}
        seen.put(live)
        return "ml", "flights-v1"

    assert seen.template_is_observed(at(1, 1, 1))
    assert seen.template_is_observed(at(2, 2, 1))
    assert not seen.template_is_observed(at(3, 3, 1, image="b"))
    assert seen.template_is_observed(at(4, 3, 3, image="b"))


def test_object_whose_label_is_taken_away_concerns_the_model_that_it_belonged_to(
    seen: cluster.Cluster,
) -> None:
    seen.put(deployment(5))
    bare = deployment(6)
    bare["metadata"]["labels"] = {}

    assert seen.put(bare) == KEY
    assert seen.children(KEY, cluster.DEPLOYMENT) == []
