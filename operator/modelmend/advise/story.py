"""One ModelDeployment as a person can read it: spec, status, versions and their checkpoints. No pods, no Prometheus.

Its numbers are those of the last checkpoints, at most some minutes old. What needs the world itself (pods that are not
ready, a Gateway that refuses) stands in the operator's own sentence, `status.because`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from modelmend.api.resources import ModelDeployment, ModelVersion
from modelmend.api.spec import ModelDeploymentSpec, SignalType
from modelmend.api.status import ModelDeploymentStatus
from modelmend.decide import judge, observed
from modelmend.decide.case import Case
from modelmend.evidence import divided, ledger, paired, verdict

FEWEST_PAIRS = 10
"""Pairs from which their own rate is believed."""


@dataclass(frozen=True, slots=True)
class Story:
    """What is known, and the rates that follow from it."""

    case: Case

    @classmethod
    def of(cls, deployment: ModelDeployment, versions: Iterable[ModelVersion], now: datetime) -> "Story":
        """versions: those of this ModelDeployment."""
        known = tuple(sorted(versions, key=lambda version: version.spec.number))
        world = observed.Observed(
            now=now,
            deployment=deployment,
            settings=observed.Settings(runtime_image=""),
            versions=known,
            ledgers=_ledgers(known),
            poll=observed.Poll(at=now),
        )
        return cls(Case(world, deployment.status, judge.judge(world)))

    @property
    def deployment(self) -> ModelDeployment:
        return self.case.observed.deployment

    @property
    def spec(self) -> ModelDeploymentSpec:
        return self.case.spec

    @property
    def status(self) -> ModelDeploymentStatus:
        return self.case.status

    @property
    def now(self) -> datetime:
        return self.case.now

    @property
    def way_in(self) -> str:
        """Who else must agree before requests reach new pods."""
        return (
            "the Service to name them"
            if self.spec.serving.gateway is None
            else "the Gateway to accept the route"
        )

    @property
    def agree(self) -> str:
        """Whom the operator asks besides the pairs, or the labels of a server of one's own."""
        if self.spec.serving.gateway is None:
            return "pods and guards"
        return f"pods, Gateway{' and guards' if self.spec.serving.pairs else ', guards and evidence'}"

    @property
    def counted(self) -> ledger.Ledger | None:
        """Of the version that serves; None without a checkpoint."""
        stable = self.status.stable
        return None if stable is None else self.case.observed.ledgers.get(stable.rollout)

    @property
    def label_rate(self) -> float | None:
        """Labels a second of the version that serves, over the window of an accuracy signal; None while nobody knows."""
        counted = self.counted
        if counted is None or counted.polled_at is None:
            return None
        # The tables of other measures leave out labels that do not vote on them.
        names = {signal.name for signal in self.spec.monitoring.signals if signal.type is SignalType.ACCURACY}
        begins = [snaps[0] for name, snaps in counted.history.items() if snaps and name in names]
        if not begins:
            return None
        begin = min(begins, key=lambda snapshot: snapshot.at)
        labels, seconds = counted.labels.n - begin.labels.n, counted.polled_at - begin.at
        return labels / seconds if labels > 0 and seconds > 0 else None

    @property
    def pairs(self) -> paired.Paired:
        """Of the candidate: from its checkpoint, else from the status, rounded."""
        candidate = self.case.candidate
        counted, shown = self.case.observed.ledgers.get(candidate.rollout), candidate.evidence
        if counted is not None:
            return counted.pairs
        apart = shown.candidate_only_wrong + shown.champion_only_wrong
        return paired.Paired(
            shown.candidate_only_wrong, shown.champion_only_wrong, max(shown.pairs - apart, 0)
        )

    @property
    def split(self) -> divided.State:
        """Labels of candidate and champion where requests are divided between them, from the candidate's checkpoint."""
        counted = self.case.observed.ledgers.get(self.case.candidate.rollout)
        return divided.State() if counted is None or counted.split is None else counted.split

    @property
    def pair_rate(self) -> float | None:
        """Pairs (or the candidate's labels, where there are no pairs) a second in this phase or step; before there are some, the labels' rate times the traffic's share."""
        candidate = self.case.candidate
        counted = self.case.observed.ledgers.get(candidate.rollout)
        if counted is not None and counted.polled_at is not None:
            number = counted.pairs.n if self.spec.serving.pairs else self.split.candidate.n
            new = number - candidate.pairs_at_step
            seconds = counted.polled_at - candidate.since.timestamp()
            if new >= FEWEST_PAIRS and seconds > 0:
                return new / seconds
        rate = self.label_rate
        return None if rate is None or not candidate.weight else rate * candidate.weight / 100

    def until(self, moment: datetime) -> str:
        """A moment, and how far it is."""
        left = (moment - self.now).total_seconds()
        away = f"in {verdict.duration(left)}" if left > 0 else "over: the operator's next look acts on it"
        return f"{moment:%Y-%m-%dT%H:%M:%SZ} ({away})"

    def since(self, moment: datetime) -> str:
        """A moment, and how long ago."""
        return f"{moment:%Y-%m-%dT%H:%M:%SZ} ({verdict.duration(max((self.now - moment).total_seconds(), 0))} ago)"


def lasting(number: float, rate: float | None, unit: str) -> str:
    """`about 510 more pairs, some 2 h 10 min at the present rate`; without the time while no rate is known.

    rate: per second. unit: in the plural, and what they are for.
    """
    said = f"about {verdict.about(max(round(number), 1))} more {unit}"
    return said if rate is None else f"{said}, some {verdict.duration(number / rate)} at the present rate"


def _ledgers(versions: tuple[ModelVersion, ...]) -> dict[str, ledger.Ledger]:
    found = {}
    for version in versions:
        saved = version.status.checkpoint
        if saved is not None:
            try:
                found[saved.rollout] = ledger.Ledger.from_json(saved.ledger)
            except (KeyError, TypeError, ValueError):
                # Of another release of the operator: then the status alone tells.
                continue
    return found
