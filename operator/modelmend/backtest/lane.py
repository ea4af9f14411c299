"""One life of a version, judged pulse by pulse as the operator judges the version that serves.

The ModelDeployment of a lane is the policy with a status in which this life is the stable version; the ledger is the
operator's, and so is the judge. What a cluster would do about a breach is left out: history went on without it, so a
breach holds until the numbers themselves end it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from modelmend.api import fields, resources
from modelmend.api.status import ModelDeploymentStatus, SignalStatus, Stable, Verdict
from modelmend.decide import combined, judge, observed
from modelmend.evidence import ledger, query, watch
from modelmend.observe import answers, history, ledgers, questions

SETTINGS: Final = observed.Settings(runtime_image="none")
Value = Callable[[str], query.Answer]
Read = Callable[[questions.Question], Mapping[answers.Place, watch.Window]]


@dataclass(frozen=True, slots=True)
class Moment:
    """A verdict that changed, with its evidence."""

    at: datetime
    version: str
    signal: SignalStatus
    labels: int
    """Counted so far in this life."""
    wrong: int
    figures: Mapping[str, float]
    """Of a breach of labels: how many since the value began to fall, and how many of them were wrong."""

    @property
    def is_alarm(self) -> bool:
        return self.signal.verdict is Verdict.BREACHED

    def to_json(self) -> dict[str, Any]:
        found = self.signal
        return {
            "at": fields.format_instant(self.at),
            "version": self.version,
            "signal": found.name,
            "type": found.type.value,
            "verdict": found.verdict.value,
            "value": found.value,
            "bound": found.bound,
            "n": found.n,
            "drifted": list(found.drifted),
            "because": found.because,
            "guarantee": found.guarantee,
            "warning": found.warning,
            "labels": self.labels,
            "wrong": self.wrong,
            **({"evidence": dict(self.figures)} if self.figures else {}),
        }


@dataclass(frozen=True, slots=True)
class Request:
    """The signals together asked for a retraining (`retraining.when`), and had not before."""

    at: datetime
    version: str
    because: str


@dataclass(frozen=True, slots=True)
class Point:
    """What a signal showed at a moment; value None where it showed nothing."""

    at: float
    value: float | None


@dataclass
class Lane:
    """Begins with what had been counted before it; then takes one answer after another."""

    name: str
    life: history.Life
    owner: resources.ModelDeployment
    version: resources.ModelVersion
    began: float
    grain: float = 0.0
    """Seconds between two points."""
    moments: list[Moment] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    points: dict[str, list[Point]] = field(default_factory=dict)
    ended: float = 0.0
    _books: ledgers.Ledgers = field(default_factory=ledgers.Ledgers)
    _scraped: float = 0.0
    _stale: bool = True
    _asks: bool = False
    _drawn_at: float = 0.0
    _look_at: float = 0.0
    """When a verdict may change by time alone."""

    @classmethod
    def begun(
        cls,
        name: str,
        life: history.Life,
        policy: resources.ModelDeployment,
        version: resources.ModelVersion,
        at: float,
        before: answers.Answer | None,
    ) -> "Lane":
        """before: a poll that brought what had been counted of this life, if it had begun. That was judged then, or
        never: it is where counting starts, and no evidence."""
        owner = _serving(policy, life, version, at)
        lane = cls(name, life, owner, version, at, ended=at, _scraped=at)
        if before is None or not before.counters.get((*owner.key, life.rollout)):
            return lane
        # Labels have been coming for a while: the first ones to come now are like any others.
        lane.owner = _serving(policy, life, version, at, grown=True)
        lane._books.advance(lane.owner, (version,), before)
        counted = lane._books.of(lane.owner)[life.rollout]
        start = ledger.Ledger(
            life.rollout,
            at,
            replace(counted.counted, totals={}),
            counted.polled_at,
            asked=counted.asked,
            narrowing=counted.narrowing,
        )
        kept = resources.Checkpoint(rollout=life.rollout, at=instant(at), ledger=start.to_json())
        status = version.status.model_copy(update={"checkpoint": kept})
        lane.version = version.model_copy(update={"status": status})
        lane._books = ledgers.Ledgers()
        return lane

    @property
    def counted(self) -> ledger.Ledger:
        """All that was counted of this life."""
        return self._books.of(self.owner).get(self.life.rollout, ledger.Ledger(self.life.rollout, self.began))

    def take(self, answer: answers.Answer, read: Read, value: Value) -> list[Moment]:
        """Take one poll; the verdicts that it changed. read: a window of drift; value: what a query said at this poll."""
        key, versions = self.owner.key, (self.version,)
        moved = self._books.advance(self.owner, versions, answer)
        while (question := self._books.ended([key], answer.at, 1)) is not None:
            moved = bool(self._books.judge(question, read(question))) or moved
        for asked in self._books.questions(self.owner):
            said = query.Answer(error=asked.error) if asked.text is None else value(asked.text)
            moved = self._books.answered(asked, said, answer.at) or moved
        self._scraped = max(self._scraped, answer.scraped.get(key, 0.0))
        self.ended = answer.at
        seen = self._observed(answer.at)
        stale = not judge.is_fresh(seen)
        if self.moments and not moved and stale == self._stale and answer.at < self._look_at:
            return []
        self._stale = stale
        return self._judge(seen)

    def _judge(self, seen: observed.Observed) -> list[Moment]:
        now, held = seen.now.timestamp(), {signal.name: signal for signal in self.owner.status.signals}
        found = judge.judge(seen).signals
        later = (moment.timestamp() for moment in judge.moments(seen))
        self._look_at = min((moment for moment in later if moment > now), default=float("inf"))
        status = self.owner.status.model_copy(update={"signals": found})
        self.owner = self.owner.model_copy(update={"status": status})
        because = combined.breach(self.owner.spec, found)
        if because is not None and not self._asks:
            self.requests.append(Request(seen.now, self.name, because))
        self._asks = because is not None
        new = [
            self._moment(seen, signal)
            for signal in found
            if signal.name not in held or held[signal.name].verdict is not signal.verdict
        ]
        if new or now >= self._drawn_at + self.grain:
            self._draw(seen)
        self.moments += new
        return new

    def _draw(self, seen: observed.Observed) -> None:
        self._drawn_at, shown = seen.now.timestamp(), judge.shown(seen)
        for signal in self.owner.status.signals:
            figures = shown.get(signal.name)
            value = signal.value if figures is None else figures.value
            told = value if signal.verdict is not Verdict.UNKNOWN else None
            self.points.setdefault(signal.name, []).append(Point(self._drawn_at, told))

    def _moment(self, seen: observed.Observed, signal: SignalStatus) -> Moment:
        counted = self.counted
        figures: dict[str, float] = {}
        state = counted.detectors.get(signal.name)
        if signal.verdict is Verdict.BREACHED and state is not None and state.detected.run.n:
            run = state.detected.run
            figures = {"labelsSinceFall": run.n, "wrongSinceFall": round(run.bad, 1)}
        return Moment(seen.now, self.name, signal, counted.labels.n, round(counted.labels.bad), figures)

    def _observed(self, now: float) -> observed.Observed:
        patience = max(SETTINGS.stale_after, 3 * self.owner.spec.monitoring.interval)
        poll = observed.Poll(at=instant(now))
        if now - self._scraped >= patience.total_seconds():
            # As in observe.gather: a Prometheus that answers and scrapes nothing knows nothing.
            poll = observed.Poll(
                at=instant(self._scraped),
                problem=f"Prometheus had scraped no pod since {instant(self._scraped):%Y-%m-%dT%H:%M:%SZ}",
            )
        return observed.Observed(
            now=instant(now),
            deployment=self.owner,
            settings=SETTINGS,
            versions=(self.version,),
            ledgers=self._books.of(self.owner),
            poll=poll,
        )


def _serving(
    policy: resources.ModelDeployment,
    life: history.Life,
    version: resources.ModelVersion,
    at: float,
    *,
    grown: bool = False,
) -> resources.ModelDeployment:
    """The policy while this life is its stable version. grown: its labels have been coming for longer than they take."""
    delay = version.spec.label_delay
    before = 0.0 if delay is None or not grown else delay.p99
    stable = Stable(
        version=version.metadata.name,
        digest=version.spec.digest,
        uri=version.spec.uri,
        rollout=life.rollout,
        since=instant(at) - timedelta(seconds=before),
        evidence_since=instant(at),
    )
    return policy.model_copy(update={"status": ModelDeploymentStatus(stable=stable)})


def instant(seconds: float) -> datetime:
    """A moment that was counted in seconds."""
    return datetime.fromtimestamp(seconds, UTC)
