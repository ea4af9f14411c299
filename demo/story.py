"""What one ModelDeployment went through, moment by moment, and what follows from it. Pure."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

Span = tuple[float, float]
"""Begin and end, in seconds since the epoch."""

ROLLOUT: Final = frozenset({"Shadow", "Canary", "AwaitingApproval", "Promoting", "RollingBack"})
"""Stages in which a candidate's pods may get requests."""


@dataclass(frozen=True)
class Moment:
    """What the status said, and when we saw it (seconds since the epoch)."""

    at: float
    stage: str
    because: str
    stable: str | None
    candidate: str | None
    phase: str | None
    weight: int

    @property
    def what(self) -> tuple[str, str | None, str | None, str | None, int]:
        """What makes it another moment than the one before."""
        return self.stage, self.stable, self.candidate, self.phase, self.weight

    def __str__(self) -> str:
        candidate = f" of {self.candidate}" if self.candidate else ""
        share = f" at {self.weight} %" if self.weight else ""
        return f"{self.stage}{candidate}{share}"


@dataclass
class Story:
    """Everything seen so far."""

    moments: list[Moment] = field(default_factory=list)
    latest: dict[str, Any] = field(default_factory=dict)
    """The object as it was last seen."""

    def take(self, body: dict[str, Any], at: float) -> None:
        """One object as the API server sent it."""
        self.latest = body
        status = body.get("status", {})
        candidate = status.get("candidate") or {}
        moment = Moment(
            at=at,
            stage=status.get("stage", "-"),
            because=status.get("because", ""),
            stable=(status.get("stable") or {}).get("version"),
            candidate=candidate.get("version"),
            phase=candidate.get("phase"),
            weight=candidate.get("weight", 0),
        )
        if not self.moments or moment.what != self.moments[-1].what:
            self.moments.append(moment)

    def spans(self, key: Callable[[Moment], Any], ended: float) -> list[tuple[Any, Span]]:
        """Each stretch of time in which `key` gave the same truthy answer, with that answer."""
        found = []
        ends = [*(moment.at for moment in self.moments[1:]), ended]
        for answer, group in itertools.groupby(
            zip(self.moments, ends, strict=True), lambda pair: key(pair[0])
        ):
            stretch = list(group)
            if answer:
                found.append((answer, (stretch[0][0].at, stretch[-1][1])))
        return found

    def during(self, stages: frozenset[str], ended: float) -> list[Span]:
        """Each stretch of time in one of these stages."""
        return [span for _, span in self.spans(lambda moment: moment.stage in stages, ended)]


@dataclass(frozen=True)
class Heal:
    """One heal from breach to promotion; seconds since the epoch."""

    version: str
    because: str
    """The breach, as the operator said it."""
    breach: float
    trained: float
    """The Job had made the artifact; the gate begins."""
    shadow: float
    canary: float
    promoting: float
    ended: float
    """The bake was over."""


def heals(story: Story, ended: float) -> list[Heal]:
    """Versions that went breach -> Job -> gate -> shadow -> canary -> promotion, in order.

    A version counts only if each of those stages was seen for it, and it was stable when it had ended.
    """
    found = []
    for version in dict.fromkeys(moment.candidate for moment in story.moments if moment.candidate):
        places = [place for place, moment in enumerate(story.moments) if moment.candidate == version]
        first, after = places[0], min(places[-1] + 1, len(story.moments) - 1)
        begun: dict[str, float] = {}
        for place in places:
            begun.setdefault(story.moments[place].stage, story.moments[place].at)
        # Back over the gate to the Job: a version that a person named has none.
        before = first
        while before and story.moments[before - 1].stage == "Evaluating":
            before -= 1
        retraining = before
        while retraining and story.moments[retraining - 1].stage == "Retraining":
            retraining -= 1
        was_kept = story.moments[after].stable == version
        if retraining < before and was_kept and {"Shadow", "Canary", "Promoting"} <= begun.keys():
            found.append(
                Heal(
                    version=version,
                    because=story.moments[retraining].because,
                    breach=story.moments[retraining].at,
                    trained=story.moments[before].at,
                    shadow=begun["Shadow"],
                    canary=begun["Canary"],
                    promoting=begun["Promoting"],
                    ended=story.moments[after].at if after > places[-1] else ended,
                )
            )
    return found
