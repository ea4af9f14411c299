"""What one ModelDeployment went through, moment by moment, and what follows from it. Pure."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

Span = tuple[float, float]
"""Begin and end, in seconds since the epoch."""

INPUTS: Final = "FeatureDrift"
"""Type of the signal that says whether the inputs moved: data drift."""
RELATION: Final = "ConceptDrift"
"""Type of the signal that says whether the relation from inputs to outcome moved: concept drift."""
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


@dataclass(frozen=True)
class Word:
    """What a signal said of whether the world had moved, and when we saw it (seconds since the epoch)."""

    at: float
    version: str
    """The stable one: the signal is about the rows and labels that it got."""
    signal: str
    type: str
    verdict: str
    value: float | None
    bound: float | None
    drifted: tuple[str, ...]
    because: str

    @property
    def what(self) -> tuple[Any, ...]:
        """What makes it another word than the one before."""
        return self.version, self.verdict, self.value, self.bound, self.drifted


@dataclass
class Story:
    """Everything seen so far."""

    moments: list[Moment] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    """Of signals about data drift and concept drift."""
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
        for signal in status.get("signals", ()):
            if signal.get("type") in (INPUTS, RELATION) and moment.stable is not None:
                self._hear(signal, moment.stable, at)

    def _hear(self, signal: dict[str, Any], stable: str, at: float) -> None:
        word = Word(
            at=at,
            version=stable,
            signal=signal["name"],
            type=signal["type"],
            verdict=signal["verdict"],
            value=signal.get("value"),
            bound=signal.get("bound"),
            drifted=tuple(signal.get("drifted", ())),
            because=signal.get("because", ""),
        )
        last = next((each for each in reversed(self.words) if each.signal == word.signal), None)
        if last is None or last.what != word.what:
            self.words.append(word)

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


@dataclass(frozen=True)
class Moved:
    """What had moved when a version healed: the most telling word of each kind about the model that it replaced."""

    inputs: Word | None
    relation: Word | None

    @property
    def kind(self) -> str:
        """In two words: what was proven, or that nothing was, or that nobody could know."""
        found = {word.type: word.verdict for word in (self.inputs, self.relation) if word is not None}
        inputs, relation = found.get(INPUTS) == "Breached", found.get(RELATION) == "Breached"
        if inputs and relation:
            return "data and concept drift"
        if inputs or relation:
            return "data drift" if inputs else "concept drift"
        return "not proven" if "OK" in found.values() else "not known"


def moved(story: Story, heal: Heal) -> Moved:
    """What the signals said of the model that this heal replaced, while it served."""
    champion = next(moment.stable for moment in reversed(story.moments) if moment.at <= heal.breach)
    heard = [word for word in story.words if word.version == champion and word.at <= heal.promoting]
    return Moved(_most_telling(heard, INPUTS), _most_telling(heard, RELATION))


def _most_telling(words: list[Word], kind: str) -> Word | None:
    """The last breach, or else the last that was known, or else why nothing was. A window of rows ends when it ends: it
    may have seen, before or after the breach of accuracy, what that came from."""
    found = [word for word in words if word.type == kind]
    for verdict in ("Breached", "OK"):
        last = next((word for word in reversed(found) if word.verdict == verdict), None)
        if last is not None:
            return last
    return found[-1] if found else None
