"""A run of the demo as it might have been, made up: small, quick, and with everything in it that a report tells."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

# The demo is run from the project's folder, and is not installed. These tests cannot lie in tests/demo: `tests` is on
# the path, and there would be two packages of one name.
sys.path.append(str(Path(__file__).parents[2]))

from demo.replay import Record
from demo.run import Recording, Run, Step
from demo.story import INPUTS, RELATION, Moment, Story, Word

BEGUN = 1_800_000_000.0
SECONDS = 600.0
COUNT = 12_000
WORSE = "sha256:worse"
CHANGES: list[tuple[float, str, str | None, str | None, int, str]] = [
    # second, stage, stable, candidate, weight, because
    (0, "Serving", "flights-v1", None, 0, "accuracy 0.86 is above 0.8"),
    (95, "Retraining", "flights-v1", None, 0, "accuracy 0.74 is below 0.8, 99.9% sure"),
    (108, "Evaluating", "flights-v1", "flights-v2", 0, "the gate"),
    (109, "CoolingDown", "flights-v1", None, 0, "flights-v2 was rejected"),
    (119, "Serving", "flights-v1", None, 0, "accuracy 0.74"),
    (122, "Retraining", "flights-v1", None, 0, "accuracy 0.73 is below 0.8, 99.9% sure"),
    (136, "Evaluating", "flights-v1", "flights-v3", 0, "the gate"),
    (137, "Shadow", "flights-v1", "flights-v3", 20, "passed the gate"),
    (152, "Canary", "flights-v1", "flights-v3", 10, "not worse by evidence"),
    (163, "Canary", "flights-v1", "flights-v3", 50, "not worse at 10 %"),
    (172, "Promoting", "flights-v1", "flights-v3", 50, "every step passed"),
    (174, "Promoting", "flights-v3", "flights-v3", 100, "bakes"),
    (186, "CoolingDown", "flights-v3", None, 0, "healed"),
    (196, "Serving", "flights-v3", None, 0, "accuracy 0.84"),
    (260, "Retraining", "flights-v3", None, 0, "accuracy 0.77 is below 0.8, 99.9% sure"),
    (274, "Evaluating", "flights-v3", "flights-v4", 0, "the gate"),
    (275, "Shadow", "flights-v3", "flights-v4", 20, "passed the gate"),
    (290, "Canary", "flights-v3", "flights-v4", 10, "not worse by evidence"),
    (296, "RollingBack", "flights-v3", "flights-v4", 0, "worse: 30 against 9"),
    (300, "CoolingDown", "flights-v3", None, 0, "rolled back"),
    (312, "Serving", "flights-v3", None, 0, "accuracy 0.78"),
    (316, "Retraining", "flights-v3", None, 0, "accuracy 0.77 is below 0.8, 99.9% sure"),
    (330, "Evaluating", "flights-v3", "flights-v5", 0, "the gate"),
    (331, "Shadow", "flights-v3", "flights-v5", 20, "passed the gate"),
    (344, "Canary", "flights-v3", "flights-v5", 10, "not worse by evidence"),
    (352, "Canary", "flights-v3", "flights-v5", 50, "not worse at 10 %"),
    (360, "Promoting", "flights-v3", "flights-v5", 50, "every step passed"),
    (361, "Promoting", "flights-v5", "flights-v5", 100, "bakes"),
    (372, "CoolingDown", "flights-v5", None, 0, "healed"),
    (382, "Serving", "flights-v5", None, 0, "accuracy 0.84"),
    (420, "Evaluating", "flights-v5", "flights-v6", 0, "spec.model.uri was changed"),
    (422, "CoolingDown", "flights-v5", None, 0, "flights-v6 was rejected"),
    (432, "Serving", "flights-v5", None, 0, "accuracy 0.84"),
]
STATES = {
    "flights-v1": ("Retired", "Install", 0.0),
    "flights-v2": ("Rejected", "Breach", 108.0),
    "flights-v3": ("Retired", "Breach", 136.0),
    "flights-v4": ("RolledBack", "Breach", 274.0),
    "flights-v5": ("Champion", "Breach", 330.0),
    "flights-v6": ("Rejected", "Spec", 421.0),
}


WORDS = [
    # second, stable, type, verdict, value, drifted, because
    (2, "flights-v1", INPUTS, "Unknown", None, (), "the window from 2 s is judged later"),
    (
        60,
        "flights-v1",
        INPUTS,
        "Breached",
        0.31,
        ("wind_speed",),
        "1 of 9 features drifted: wind_speed PSI 0.31",
    ),
    (80, "flights-v1", RELATION, "OK", 0.01, (), "no concept drift: accuracy 0.84 against 0.85"),
    (200, "flights-v3", INPUTS, "Unknown", None, (), "the window from 200 s is judged later"),
    (
        240,
        "flights-v3",
        INPUTS,
        "Breached",
        0.22,
        ("wind_dir",),
        "1 of 9 features drifted: wind_dir PSI 0.22",
    ),
    (300, "flights-v3", INPUTS, "OK", 0.02, (), "no drift in 9 features"),
    (310, "flights-v3", RELATION, "Breached", 0.07, (), "accuracy 0.77 is 0.07 below what its scores say"),
    (400, "flights-v5", INPUTS, "Unknown", None, (), "the window from 400 s is judged later"),
]


def story_of(changes: list[tuple[float, str, str | None, str | None, int, str]]) -> Story:
    """Moments at those seconds of the replay."""
    return Story(
        [
            Moment(BEGUN + second, stage, because, stable, candidate, candidate and stage, weight)
            for second, stage, stable, candidate, weight, because in changes
        ]
    )


def record() -> Record:
    """Answers that are right as often as a model that was healed, and one that was not, would be."""
    chance = np.random.default_rng(7)
    second = np.linspace(0, SECONDS, COUNT, endpoint=False)
    wave = 0.02 * np.sin(second / 23)
    frozen = 0.86 - 0.14 * np.clip((second - 40) / 120, 0, 1) + wave
    healed = np.select(
        [second < 160, second < 345],
        [frozen, 0.85 - 0.09 * np.clip((second - 200) / 120, 0, 1) + wave],
        0.845 + wave,
    )
    draw = chance.random(COUNT)
    latency = chance.gamma(4, 0.004, COUNT)
    return Record(
        truth=(chance.random(COUNT) < 0.5).astype(int),
        frozen_right=draw < frozen,
        right=draw < healed,
        sent=BEGUN + second,
        latency=latency,
        at=COUNT,
    )


def versions() -> list[dict[str, Any]]:
    """The ModelVersions at the end."""
    return [
        {
            "metadata": {"name": name},
            "spec": {
                "number": int(name[-1]),
                "trigger": trigger,
                "digest": WORSE if trigger == "Spec" else f"sha256:{name}",
                "createdAt": pd.Timestamp(BEGUN + second, unit="s", tz="UTC").isoformat(),
            },
            "status": {"state": state, "because": f"{name} is {state}"},
        }
        for name, (state, trigger, second) in STATES.items()
    ]


@pytest.fixture
def told() -> Callable[..., Story]:
    """Makes a story of changes of status."""
    return story_of


@pytest.fixture
def run() -> Run:
    """A run that went well: two heals, a candidate rejected, one rolled back, a bad push refused."""
    times = pd.date_range("2013-02-15", "2013-10-01", periods=COUNT, tz="UTC")
    return Run(
        time=pd.Series(times),
        record=record(),
        story=replace(
            story_of(CHANGES),
            words=[
                Word(BEGUN + second, stable, kind.lower(), kind, verdict, value, 0.1, drifted, because)
                for second, stable, kind, verdict, value, drifted, because in WORDS
            ],
        ),
        versions=versions(),
        worse_digest=WORSE,
        begun=BEGUN,
        ended=BEGUN + SECONDS + 5,
        seconds=SECONDS,
        rate=COUNT / SECONDS,
        delay=3.0,
        minimum=0.8,
        labelled=COUNT,
        failures=[],
        steps=(Step("local cluster", 812.3, ("bin/kubernetes-abc",)), Step("images", 0.4)),
        facts={"Kubernetes": "v1.35.4"},
        recording=Recording(3120, 0, 41_000_000, 9.0, "3,120 decisions, 0 differ"),
        made_on="2026-11-22",
    )


@pytest.fixture
def failing(run: Run) -> Callable[[float, float], Run]:
    """The same run, but every request sent between two seconds of the replay failed."""

    def fail(begin: float, end: float) -> Run:
        chosen = run.sent_within([(BEGUN + begin, BEGUN + end)])
        latency = np.where(chosen, np.nan, run.record.latency)
        errors = [f"request {place}" for place in np.flatnonzero(chosen)]
        return replace(run, record=replace(run.record, latency=latency, errors=errors), failures=list(errors))

    return fail
