"""One look: the status is always written, nothing is written twice, and one object's trouble is its own."""

import asyncio
import itertools
import json
import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from modelmend.act import errors, events, execute
from modelmend.cli import replay
from modelmend.decide import change, observed, plan
from modelmend.loop import queue, reconcile, record
from modelmend.observe import cluster, gather

KEY = ("ml", "flights")
Object = dict[str, Any]
Decide = Callable[[observed.Observed], plan.Plan]


class Figures:
    """Notes how looks ended."""

    def __init__(self) -> None:
        self.results: list[str] = []
        self.actions: list[str] = []

    def reconciled(self, result: str, seconds: float) -> None:
        self.results.append(result)

    def acted(self, action: str) -> None:
        self.actions.append(action)

    def polled(self, seconds: float, problem: str | None, at: float) -> None: ...

    def leads(self, leads: bool) -> None: ...

    def shows(self, owner: Any, ledgers: Any) -> None: ...

    def forgets(self, namespace: str, name: str) -> None: ...


def model(name: str = "flights", **more: Any) -> Object:
    """A ModelDeployment as a person wrote it."""
    return {
        "apiVersion": "modelmend.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": "ml", "generation": 3},
        "spec": {
            "model": {"uri": "s3://models/flights/v0"},
            "storage": {"uri": "s3://ml/flights"},
            "serving": {"gateway": {"parentRef": {"name": "public"}, "hostnames": ["flights.example.com"]}},
        },
        **more,
    }


def says(because: str, *actions: plan.Action, **more: Any) -> Decide:
    """A decision that is always the same."""

    def decide(found: observed.Observed) -> plan.Plan:
        wanted = change.change(
            found.deployment.status,
            because=because,
            observed_generation=found.deployment.metadata.generation,
            **more,
        )
        return plan.Plan(actions, wanted, because, timedelta(seconds=30), "always")

    return decide


class Bench:
    """A Reconciler on a server in memory."""

    def __init__(self, server: Any, decide: Decide, tape: record.Tape | None = None) -> None:
        self.server, self.figures = server, Figures()
        self.observer = gather.Observer(observed.Settings(runtime_image="runtime:1"))
        self.recorder = events.Recorder(server, "test")
        self.reconciler = reconcile.Reconciler(
            self.observer,
            server,
            decide,
            execute.Configuration("runtime:1"),
            self.recorder,
            self.figures,
            tape,
        )

    async def add(self, made: Object) -> Object:
        found: Object = await self.server.create(made)
        self.observer.seen.put(found)
        self.server.writes.clear()
        return found

    def status(self, name: str = "flights") -> Object:
        found: Object = self.server.objects["ModelDeployment", "ml", name].get("status", {})
        return found


async def test_status_is_written_when_it_changes_and_not_again(server: Any) -> None:
    bench = Bench(server, says("it is so"))
    await bench.add(model())

    assert await bench.reconciler.look(KEY) == 0.0
    assert await bench.reconciler.look(KEY) == 30.0
    assert [verb for verb, _ in server.writes] == ["apply"]
    assert bench.status()["because"] == "it is so"
    assert bench.figures.results == ["ok", "ok"]


async def test_status_goes_over_the_version_that_was_read_and_no_other(server: Any) -> None:
    bench = Bench(server, says("it is so"))
    await bench.add(model())
    await bench.reconciler.look(KEY)

    written = server.writes[0][1]
    assert written["metadata"]["uid"]
    assert written["metadata"]["resourceVersion"]


async def test_object_that_cannot_be_read_gets_conditions_and_keeps_the_rest_of_its_status(
    server: Any,
) -> None:
    bench = Bench(server, says("never said"))
    await bench.add(model(status={"because": "before", "stage": "Serving"}, spec={"model": {}}))

    assert await bench.reconciler.look(KEY) is None
    assert await bench.reconciler.look(KEY) is None

    found = bench.status()
    assert found["because"] == "before"
    assert found["observedGeneration"] == 3
    assert {condition["type"]: condition["status"] for condition in found["conditions"]} == {
        "Ready": "False",
        "Stalled": "True",
    }
    assert "spec.storage: Field required" in found["conditions"][0]["message"]
    assert bench.figures.results == ["invalid", "invalid"]
    assert len(server.writes) == 1


async def test_decision_that_fails_is_said_and_stops_nobody_else(server: Any) -> None:
    def decide(found: observed.Observed) -> plan.Plan:
        if found.deployment.metadata.name == "flights":
            raise ZeroDivisionError("a defect")
        return says("fine")(found)

    bench = Bench(server, decide)
    await bench.add(model())
    await bench.add(model("trains"))
    made = queue.Queue(bench.reconciler.look, workers=1)
    task = asyncio.create_task(made.run())
    made.add(KEY)
    made.add(("ml", "trains"))
    async with asyncio.timeout(10):
        while bench.status("trains").get("because") != "fine":
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])

    assert "a defect" in bench.status()["conditions"][0]["message"]
    assert "error" in bench.figures.results


async def test_refusal_becomes_a_fact_at_once_and_is_forgotten_when_it_is_over(server: Any) -> None:
    seen: list[str | None] = []

    def decide(found: observed.Observed) -> plan.Plan:
        seen.append(found.blocked)
        return says(found.blocked or "fine", *(() if found.front.key else (plan.EnsureKey(),)))(found)

    bench = Bench(server, decide)
    await bench.add(model())
    refused = errors.Refused("secrets is forbidden", status=403)

    async def refuse(_: Object) -> Object:
        raise refused

    allowed, server.create = server.create, refuse
    assert await bench.reconciler.look(KEY) == 0.0
    with pytest.raises(errors.Refused):
        await bench.reconciler.look(KEY)
    assert bench.status()["because"] == "secrets is forbidden"

    server.create = allowed
    assert await bench.reconciler.look(KEY) == 0.0
    assert await bench.reconciler.look(KEY) == 0.0
    assert await bench.reconciler.look(KEY) == 30.0
    assert bench.status()["because"] == "fine"
    assert seen == [None, "secrets is forbidden", "secrets is forbidden", None, None]


async def test_secret_of_somebody_else_is_a_fact_and_is_not_touched(server: Any) -> None:
    def decide(found: observed.Observed) -> plan.Plan:
        taken = [(foreign.kind, foreign.name, foreign.owner) for foreign in found.foreign]
        return says(str(taken), *(() if taken or found.front.key else (plan.EnsureKey(),)))(found)

    bench = Bench(server, decide)
    await bench.add(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "flights-feedback", "namespace": "ml"},
            "data": {"key": "x"},
        }
    )
    await bench.add(model())

    await bench.reconciler.look(KEY)
    await bench.reconciler.look(KEY)
    assert bench.status()["because"] == "[('Secret', 'flights-feedback', 'nobody')]"
    assert server.objects["Secret", "ml", "flights-feedback"]["data"] == {"key": "x"}

    del server.objects["Secret", "ml", "flights-feedback"]
    await bench.reconciler.look(KEY)
    await bench.reconciler.look(KEY)
    assert bench.status()["because"] == "[]"
    assert (
        server.objects["Secret", "ml", "flights-feedback"]["metadata"]["ownerReferences"][0]["kind"]
        == "ModelDeployment"
    )


async def test_status_that_old_definitions_cut_short_is_not_written_for_ever(server: Any) -> None:
    bench = Bench(server, says("it is so", last_version=4))
    whole = server.apply

    async def cut(manifest: Object, **how: Any) -> Object:
        manifest = {
            **manifest,
            "status": {name: value for name, value in manifest["status"].items() if name != "lastVersion"},
        }
        answer: Object = await whole(manifest, **how)
        return answer

    server.apply = cut
    await bench.add(model())
    for _ in range(5):
        await bench.reconciler.look(KEY)

    assert len(server.writes) == 1


async def test_events_tell_a_transition_once_and_repeat_as_a_series(server: Any) -> None:
    event = plan.Notify(plan.Tone.WARNING, "Breached", "accuracy fell")
    bench = Bench(server, says("it is so", event))
    await bench.add(model())
    telling = asyncio.create_task(bench.recorder.run())
    for _ in range(5):
        await bench.reconciler.look(KEY)
    await bench.recorder.flush(5)
    telling.cancel()
    await asyncio.wait([telling])

    (made,) = [item for (kind, _, _), item in server.objects.items() if kind == "Event"]
    assert (made["type"], made["reason"], made["note"]) == ("Warning", "Breached", "accuracy fell")
    assert made["series"]["count"] == 2
    assert len([verb for verb, item in server.writes if item["kind"] == "Event"]) == 2


async def test_object_that_is_gone_or_going_is_left_alone(server: Any) -> None:
    bench = Bench(server, says("it is so"))
    going = model()
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    await bench.add(going)

    assert await bench.reconciler.look(KEY) is None
    assert await bench.reconciler.look(("ml", "never seen")) is None
    assert server.writes == []


async def test_recorded_decisions_are_decided_again_the_same(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from modelmend.decide import decide

    bench = Bench(server, decide, record.Tape(tmp_path))
    await bench.add(model())
    await bench.reconciler.look(KEY)
    await bench.reconciler.look(KEY)
    assert isinstance(bench.reconciler.tape, record.Tape)
    bench.reconciler.tape.close()

    replay.replay(tmp_path / "decisions.jsonl")
    assert ", 0 differ" in capsys.readouterr().out

    lines = [json.loads(line) for line in (tmp_path / "decisions.jsonl").read_text().splitlines()]
    lines[0]["plan"]["because"] = "something else"
    (tmp_path / "changed.jsonl").write_text(json.dumps(lines[0]) + "\n")
    with pytest.raises(Exception, match="1"):
        replay.replay(tmp_path / "changed.jsonl")
    assert "plan.because was 'something else'" in capsys.readouterr().out


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    """What stands in the log."""
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


async def test_spec_that_changes_within_a_look_is_not_carried_out_under_the_name_of_the_new_one(
    server: Any,
) -> None:
    """A pod template is rendered again only when the hash of its spec changes: an old template with a new hash would
    stay for ever."""
    carried_out: list[tuple[str, str]] = []

    def decide(found: observed.Observed) -> plan.Plan:
        return says(found.deployment.spec.model.uri, plan.EnsureKey())(found)

    bench = Bench(server, decide)
    made = await bench.add(model())
    get = server.get

    async def get_while_a_person_edits(*place: str, **how: Any) -> Object:
        if place[1] == "Secret" and not carried_out:
            spec = {**made["spec"], "model": {"uri": "s3://models/flights/new"}}
            bench.observer.seen.put(server.touch(made, spec=spec))
        return await get(*place, **how)  # type: ignore[no-any-return]

    async def carry_out(_: Any, owner: Any, wanted: plan.Plan, now: Any) -> int:
        carried_out.append((owner.spec.model.uri, wanted.because))
        return 0

    server.get = get_while_a_person_edits
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(execute.Executor, "carry_out", carry_out)
        await bench.reconciler.look(KEY)

    assert carried_out == [("s3://models/flights/new", "s3://models/flights/new")]


async def test_model_that_changes_while_a_jobs_last_words_are_asked_for_is_decided_anew(server: Any) -> None:
    decided: list[str] = []

    def decide(found: observed.Observed) -> plan.Plan:
        decided.append(found.deployment.spec.model.uri)
        return says(found.deployment.spec.model.uri)(found)

    bench = Bench(server, decide)
    made = await bench.add(model())

    async def ask(_: Any, found: observed.Observed) -> bool:
        if found.deployment.spec.model.uri == "s3://models/flights/v0":
            spec = {**made["spec"], "model": {"uri": "s3://models/flights/new"}}
            bench.observer.seen.put(server.touch(made, spec=spec))
        return False

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reconcile.Reconciler, "_ask_for_last_words", ask)
        assert await bench.reconciler.look(KEY) == 0.0
        assert server.writes == []
        await bench.reconciler.look(KEY)

    assert decided == ["s3://models/flights/new"]


async def test_conflict_brings_the_world_as_it_is_though_no_watch_tells_of_it(server: Any) -> None:
    bench = Bench(server, says("it is so"))
    made = await bench.add(model())
    server.touch(made)

    with pytest.raises(errors.Conflict):
        await bench.reconciler.look(KEY)
    await bench.reconciler.look(KEY)

    assert bench.status()["because"] == "it is so"


async def test_refusal_that_reads_differently_each_time_makes_no_storm(server: Any) -> None:
    bench = Bench(server, lambda found: says(str(found.blocked), plan.EnsureKey())(found))
    await bench.add(model())
    refusals = 0

    async def refuse(_: Object) -> Object:
        nonlocal refusals
        refusals += 1
        raise errors.Refused(f"quota: used {refusals}", status=403)

    server.create = refuse
    assert await bench.reconciler.look(KEY) == 0.0
    for _ in range(5):
        with pytest.raises(errors.Refused):
            await bench.reconciler.look(KEY)
    assert bench.status()["because"] == "quota: used 5"


async def test_trouble_that_lasts_is_logged_once_and_again_when_it_comes_back(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = itertools.count()
    bench = Bench(server, lambda found: says(f"number {next(numbers)}")(found))
    await bench.add(model())
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            server.failing = errors.Unavailable("the API server is away")
            for _ in range(5):
                with pytest.raises(errors.Unavailable):
                    await bench.reconciler.look(KEY)
            server.failing = None
            await bench.reconciler.look(KEY)

    assert lines(caplog, logging.WARNING) == ["the API server is away", "the API server is away"]


async def test_defect_that_cannot_even_be_said_is_logged_once(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def decide(_: observed.Observed) -> plan.Plan:
        raise ZeroDivisionError("a defect")

    bench = Bench(server, decide)
    await bench.add(model())

    async def refuse(*_: Any, **__: Any) -> Object:
        raise errors.Refused("modeldeployments/status is forbidden", status=403)

    server.apply = refuse
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            await bench.reconciler.look(KEY)

    assert lines(caplog, logging.WARNING) == [
        "ZeroDivisionError: a defect",
        "modeldeployments/status is forbidden",
    ]


async def test_object_that_cannot_be_read_is_said_again_until_it_could_be_said(server: Any) -> None:
    bench = Bench(server, says("never said"))
    made = await bench.add(model(spec={"model": {}}))
    server.touch(made)

    assert await bench.reconciler.look(KEY) == reconcile.SOON
    assert await bench.reconciler.look(KEY) is None
    assert "Field required" in bench.status()["conditions"][0]["message"]


async def test_sentence_of_status_and_event_stands_in_the_log_once(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    same = plan.Notify(plan.Tone.WARNING, "RollingBack", "v2 is worse")
    other = plan.Notify(plan.Tone.NORMAL, "SignalRecovered", "accuracy is well")
    bench = Bench(server, says("v2 is worse", same, other))
    await bench.add(model())
    with caplog.at_level(logging.INFO):
        await bench.reconciler.look(KEY)

    assert lines(caplog) == ["v2 is worse", "accuracy is well"]
    (line, _) = caplog.records
    assert line.levelno == logging.WARNING
    assert line.fields["reason"] == "RollingBack"  # type: ignore[attr-defined]
    assert bench.recorder._queue.qsize() == 2


async def test_nothing_is_remembered_of_a_model_that_is_gone(server: Any) -> None:
    refused = errors.Refused("forbidden", status=403)
    bench = Bench(server, says("it is so", plan.EnsureKey(), last_version=3))
    made = await bench.add(model())

    async def refuse(_: Object) -> Object:
        raise refused

    async def cut(manifest: Object, **how: Any) -> Object:
        return await apply({**manifest, "status": {}}, **how)  # type: ignore[no-any-return]

    apply, server.create, server.apply = server.apply, refuse, cut
    await bench.reconciler.look(KEY)
    with pytest.raises(errors.Refused):
        await bench.reconciler.look(KEY)
    bench.observer.seen.drop(made)
    assert await bench.reconciler.look(KEY) is None

    for holder in (bench.reconciler, bench.observer, bench.observer._fronts, bench.observer.books):
        for name in type(holder).__dataclass_fields__:
            kept = getattr(holder, name)
            assert not isinstance(kept, dict | set) or not kept, f"{type(holder).__name__}.{name}: {kept}"


def child(replicas: int = 2) -> plan.EnsureServing:
    """The server of flights-v1."""
    digest = "sha256:" + "a" * 64
    return plan.EnsureServing("flights-v1", "12345678-1", "s3://m", digest, "runtime:1", replicas, "hash")


@pytest.mark.parametrize("by", ["a watch", "a list"])
async def test_child_whose_label_was_taken_away_gets_it_back(server: Any, by: str) -> None:
    """To a watch by label, and to a list, it is gone; and its name is taken."""
    bench = Bench(server, says("it is so", child()))
    await bench.add(model())
    await bench.reconciler.look(KEY)
    made = server.objects["Deployment", "ml", "flights-v1"]

    bare = server.touch(made, metadata={**made["metadata"], "labels": {}})
    if by == "a watch":
        bench.observer.seen.drop(bare)
    else:
        listing = type("Listing", (), {"items": [], "resource_version": str(next(server._versions))})()
        bench.observer.seen.resync(cluster.DEPLOYMENT, listing)
    await bench.reconciler.look(KEY)

    after = server.objects["Deployment", "ml", "flights-v1"]
    assert after["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "modelmend"
    assert after["metadata"]["uid"] == made["metadata"]["uid"]
    assert len(bench.observer.seen.children(KEY, cluster.DEPLOYMENT)) == 1


async def test_child_that_moved_on_while_its_watch_is_silent_is_changed_at_the_second_look(
    server: Any,
) -> None:
    replicas = 2
    bench = Bench(server, lambda found: says("it is so", child(replicas))(found))
    await bench.add(model())
    await bench.reconciler.look(KEY)
    server.touch(server.objects["Deployment", "ml", "flights-v1"])

    replicas = 5
    with pytest.raises(errors.Conflict):
        await bench.reconciler.look(KEY)
    await bench.reconciler.look(KEY)

    assert server.objects["Deployment", "ml", "flights-v1"]["spec"]["replicas"] == 5


async def test_key_that_was_deleted_is_made_again_when_pods_wait_for_it(server: Any) -> None:
    """A kubelet that cannot mount a Secret says so in Events alone; the pod's status says ContainerCreating."""
    bench = Bench(
        server, lambda found: says("it is so", *(() if found.front.key else (plan.EnsureKey(),)))(found)
    )
    await bench.add(model())
    for _ in range(3):
        await bench.reconciler.look(KEY)
    del server.objects["Secret", "ml", "flights-feedback"]
    waiting = {"name": "model", "state": {"waiting": {"reason": "ContainerCreating"}}}
    labels = {"app.kubernetes.io/instance": "flights"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "flights-v1-x", "namespace": "ml", "labels": labels},
        "status": {"phase": "Pending", "containerStatuses": [waiting]},
    }
    bench.observer.seen.put(await server.create(pod))

    await bench.reconciler.look(KEY)
    assert ("Secret", "ml", "flights-feedback") not in server.objects, "it was asked for a moment ago"
    bench.reconciler.patience = 0.0
    await bench.reconciler.look(KEY)
    assert ("Secret", "ml", "flights-feedback") in server.objects


async def test_recording_that_cannot_be_written_stops_no_decision_and_cut_lines_are_left_out(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    from modelmend.decide import decide

    tape = record.Tape(tmp_path / "full" / "tape")
    (tmp_path / "full").write_text("no folder")
    bench = Bench(server, decide, tape)
    await bench.add(model())
    for _ in range(3):
        await bench.reconciler.look(KEY)
    assert lines(caplog, logging.WARNING) == [lines(caplog, logging.WARNING)[0]]
    assert "decisions are not recorded" in lines(caplog, logging.WARNING)[0]
    assert bench.status()["stage"] == "Installing"

    (tmp_path / "full").unlink()
    tape.folder.mkdir(parents=True)
    (tape.folder / "decisions.jsonl").write_text('{"observed": {"now": "20')
    await bench.reconciler.look(KEY)
    tape.close()
    replay.replay(tape.folder / "decisions.jsonl")
    assert capsys.readouterr().out == "1 decisions, 0 differ, 1 lines were cut short and are left out\n"
