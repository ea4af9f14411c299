"""The verdict, and what the report says of requests that failed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from demo import picture, report
from demo.run import Recording, Run

Failing = Callable[[float, float], Run]


def failed(run: Run) -> list[str]:
    return [check.what for check in report.checks(run) if not check.holds]


def row(run: Run, begin: str) -> list[str]:
    """The cells of the one row of the report that begins so."""
    (line,) = [line for line in report.text(run).splitlines() if line.startswith(f"| {begin}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_run_that_went_well_holds(run: Run) -> None:
    assert failed(run) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"recording": Recording(3120, 1, 0, 0, "line 7: plan.because")}, "recorded decisions"),
        ({"recording": Recording(said="kubectl: no such pod")}, "recorded decisions"),
        ({"worse_digest": "sha256:other"}, "the worse artifact"),
        ({"troubles": ["careless push: refused"]}, "the demo itself"),
    ],
)
def test_each_promise_that_was_not_kept_is_named(run: Run, change: dict[str, object], what: str) -> None:
    (found,) = failed(replace(run, **change))

    assert found.startswith(what)


def test_one_request_without_an_answer_fails_the_run(failing: Failing) -> None:
    assert failed(failing(100, 100.05)) == ["every request answered"]


def test_model_that_did_not_heal_fails_the_run(run: Run) -> None:
    never = replace(run, record=replace(run.record, right=run.record.frozen_right))

    assert failed(never) == ["healed at least 0.05 above frozen"]


def test_failure_is_told_where_it_happened(failing: Failing) -> None:
    in_promotion, in_rollback = failing(174, 175), failing(297, 298)

    assert row(in_promotion, "promotions")[1:3] == ["2", "20 of 920"]
    assert row(in_promotion, "rollbacks")[1:3] == ["1", "0 of 280"]
    assert row(in_rollback, "promotions")[2] == "0 of 920"
    assert row(in_rollback, "rollbacks")[2] == "20 of 280"


def test_failure_while_the_old_pods_end_belongs_to_the_promotion(failing: Failing) -> None:
    # The bake is over at 186.
    assert row(failing(190, 191), "promotions")[2] == "20 of 920"
    assert row(failing(197, 198), "promotions")[2] == "0 of 920"


def test_latency_is_told_apart_by_what_went_on(run: Run) -> None:
    slow = run.sent_within([(run.begun + 137, run.begun + 152)])
    slower = replace(run, record=replace(run.record, latency=np.where(slow, 0.4, 0.01)))

    assert row(slower, "rollouts")[3:] == ["10 ms", "400 ms"]
    assert row(slower, "neither")[3:] == ["10 ms", "10 ms"]


def test_no_rollback_is_told_as_none(run: Run) -> None:
    calm = [moment for moment in run.story.moments if moment.stage != "RollingBack"]
    story = replace(run.story, moments=calm)

    assert row(replace(run, story=story), "rollbacks")[1:] == ["0", "0 of 0", "-", "-"]


def test_heal_is_told_part_by_part(run: Run) -> None:
    begin, *cells = row(run, "flights-v3 | 2 April")

    assert begin == "flights-v3"
    assert cells[:2] == ["2 April", "21 April"]
    assert cells[2:8] == ["14 s", "1 s", "15 s", "20 s", "14 s", "64 s"]


def test_report_tells_data_drift_from_concept_drift_for_each_heal(run: Run) -> None:
    text = report.text(run)
    part = text[text.index("## What had moved") : text.index("## Set-up")]

    assert "| data drift | flights-v3 |" in part
    assert "wind_speed PSI 0.31 | OK on" in part
    assert "| data and concept drift | flights-v5 |" in part
    assert "0.07 below what its scores say" in part


def test_first_time_is_told_from_a_warm_one(run: Run) -> None:
    assert row(run, "local cluster") == ["local cluster", "812", "bin/kubernetes-abc"]
    assert row(run, "images") == ["images", "0.4", "nothing: warm"]


def test_report_can_be_made_again_from_what_is_kept(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path)

    assert report.text(Run.load(tmp_path)) == report.text(run)


def test_text_of_the_operator_does_not_break_a_table(run: Run) -> None:
    run.versions[1]["status"]["because"] = "a | b\nc"

    assert row(run, "flights-v2 | Rejected")[-2:] == ["a \\", "b c"]


def test_picture_is_drawn(run: Run, tmp_path: Path) -> None:
    picture.draw(run, tmp_path / "picture.png")

    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
