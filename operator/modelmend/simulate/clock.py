"""Simulated time: looks when something can have changed, and at no other moment.

The operator polls at every point of a grid (`monitoring.interval`), takes what is new into its ledgers, and looks
again when labels moved, an event came, or a Plan said so. Here the same happens, less what provably does nothing:

1. A poll without new counts moves no detector. It is made only where a signal's window takes a snapshot, where
   detectors begin anew, and right before a look.
2. After a poll, everything that a decision asks of the numbers is computed anew (`decide.judge`). If it is as it was
   at the last look, and no time limit has come, deciding again would give the same Plan: the look is left out.

`eager` leaves out neither; the tests hold that both tell the same story.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from modelmend.contract import metrics
from modelmend.decide import compared, decision, judge, observed, plan, sentences, terms
from modelmend.evidence import ledger, watch
from modelmend.simulate import windows
from modelmend.simulate.timeline import Moment, Timeline
from modelmend.simulate.world import World, approvals

AT_ONCE: Final = timedelta(0)
STREAK: Final = 100
"""Looks at one moment after which the rules are taken to be in a circle."""


@dataclass
class Clock:
    """Runs a world from its present moment to `end`."""

    world: World
    end: datetime
    timeline: Timeline = field(default_factory=Timeline)
    heard: Callable[[Moment], None] = lambda moment: None
    """Told each Event as it happens."""
    passed: Callable[[datetime], None] = lambda now: None
    """Told the time, now and then."""
    before_job: Callable[[plan.Action], None] = lambda action: None
    eager: bool = False
    polls: int = 0
    looks: int = 0
    _due: datetime | None = None
    _asked: tuple[Any, ...] = ()

    def run(self) -> Timeline:
        """Let all of the time pass. Raises SentenceError."""
        while True:
            self._settle()
            self.passed(self.world.now)
            if self.world.now >= self.end:
                return self.timeline
            self._wait()

    def _settle(self) -> None:
        """Look until there is nothing to do at this moment."""
        for _ in range(STREAK):
            seen = self.world.observe()
            made = decision.decide(seen)
            self.looks += 1
            for moment in self.timeline.tell(seen, made):
                self.heard(moment)
            self.world.write(made.status)
            for action in made.actions:
                if isinstance(action, plan.LaunchRetraining):
                    self.before_job(action)
                self.world.perform(action)
            acted = any(not isinstance(action, plan.Notify) for action in made.actions)
            if not acted and made.look_again_in != AT_ONCE and not self._approve():
                look = made.look_again_in
                self._due = None if look is None else self.world.now + look
                self._asked = self._questions(self.world.observe())
                return
        raise AssertionError(f"never at rest: {made.finding}: {made.because}")

    def _approve(self) -> bool:
        """A person who agrees with everything, at once."""
        for annotation, token in approvals(self.world.status):
            if self.world.deployment.metadata.annotations.get(annotation) != token:
                self.heard(self.timeline.approve(self.world.observe(), token))
                self.world.annotate(annotation, token)
                return True
        return False

    def _wait(self) -> None:
        """Let time pass until the next look."""
        world = self.world
        while True:
            events = [moment for moment in self._events() if moment > world.now]
            event, poll = min(events, default=self.end), self._next_poll()
            if poll is None or poll > event:
                world.now = event
                self._poll(self._grid(event, math.floor))
                return
            world.now = poll
            moved = self._poll(poll)
            if poll == event or (moved and (self.eager or self._says_something_new())):
                return
            if self.polls % 500 == 0:
                self.passed(poll)

    def _events(self) -> Iterator[datetime]:
        yield self.end
        if self._due is not None:
            yield self._due
        yield from self.world.moments()

    def _says_something_new(self) -> bool:
        return self._questions(self.world.observe()) != self._asked

    def _questions(self, seen: observed.Observed) -> tuple[Any, ...]:
        """Everything that a decision asks of the numbers: equal answers, equal decision."""
        judged, candidate = judge.judge(seen), seen.deployment.status.candidate
        if candidate is None:
            return judged.fresh, judged.signals
        needed = seen.deployment.spec.rollout.analysis.min_labels
        new = judged.pairs - candidate.pairs_at_step
        return (
            judged.fresh,
            judged.signals,
            judged.guards,
            judged.comparison.finding,
            compared.evidence(candidate, seen, judged.comparison),
            sentences.progress(new, needed),
            new >= needed,
        )

    def _next_poll(self) -> datetime | None:
        """The next point of the grid at which a ledger would change."""
        world = self.world
        after = self._grid(world.now, math.floor) + self._interval
        if world.polled is None or self.eager or self._restarts():
            return after
        moments = [world.traffic.next_label(), *self._snapshots(), *self._block_ends(), *self._window_ends()]
        if world.status.candidate is not None:
            moments.append(world.traffic.next_request())
        due = [
            self._grid(datetime.fromtimestamp(moment, UTC), math.ceil)
            for moment in moments
            if moment is not None
        ]
        return max(min(due), after) if due else None

    def _restarts(self) -> bool:
        """Whether detectors begin anew at the next poll, whose own labels they leave out (`ledger.advance`)."""
        owner = self.world.deployment
        return any(
            terms.of(owner, None, rollout).evidence_since > kept.evidence_since
            for rollout, kept in self.world.books.of(owner).items()
        )

    def _snapshots(self) -> Iterator[float]:
        """When the windows of the signals take their next snapshot (`ledger.advance`)."""
        world, stable = self.world, self.world.status.stable
        counted = None if stable is None else world.books.of(world.deployment).get(stable.rollout)
        if stable is None or counted is None:
            return
        version = next((each for each in world.versions() if each.metadata.name == stable.version), None)
        asked = terms.of(world.deployment, version, stable.rollout)
        windows = {signal.name: signal.window for signal in asked.signals if signal.asked is not None}
        if counted.evidence_since < asked.evidence_since:
            # Detectors restart at the next poll, and what that one brings is not judged.
            yield 0.0
        if counted.history.keys() != windows.keys():
            # It has not been polled since it serves: the windows begin at the next poll.
            yield 0.0
        for name, snapshots in counted.history.items():
            if name in windows:
                yield snapshots[-1].at + windows[name] / (ledger.SNAPSHOTS - 4)

    def _block_ends(self) -> Iterator[float]:
        """When blocks end, and their labels or pairs have their vote."""
        spec = self.world.deployment.spec
        blocks = {signal.block for signal in spec.monitoring.signals}
        for block in (blocks | {spec.rollout.analysis.block}) - {None}:
            assert block is not None
            length = block.length.total_seconds()
            last = self.world.polled or self.world.now
            yield (math.floor(last.timestamp() / length) + 1) * length

    def _window_ends(self) -> Iterator[float]:
        """When windows begin, and when they can be read."""
        world, stable = self.world, self.world.status.stable
        counted = None if stable is None else world.books.of(world.deployment).get(stable.rollout)
        if stable is None or counted is None:
            return
        version = next((each for each in world.versions() if each.metadata.name == stable.version), None)
        for wanted in terms.of(world.deployment, version, stable.rollout).drift:
            state = counted.drift.get(wanted.name)
            if state is None or state.terms != wanted:
                yield 0.0
            else:
                lengths = math.floor((state.asked_at - state.begun_at) / wanted.length) + 1
                yield state.begun_at + lengths * wanted.length + watch.SETTLED

    def _poll(self, at: datetime) -> bool:
        """Take a poll; whether anything was counted that a verdict may depend on."""
        world = self.world
        if world.polled is not None and at <= world.polled:
            return False
        self.polls += 1
        world.polled = at
        owner = world.deployment
        guard = owner.spec.rollout.guards.p99_latency
        bound = None if guard is None else metrics.bucket_for(guard.total_seconds())
        rollouts = world.books.of(owner)
        by_class = terms.need_classes(owner.spec)
        answer = world.traffic.poll(at.timestamp(), owner.key, rollouts, bound, by_class=by_class)
        moved = world.books.advance(owner, world.versions(), answer)
        while (question := world.books.ended([owner.key], at.timestamp(), 1)) is not None:
            found = windows.read(question, world.traffic, world.models)
            moved = bool(world.books.judge(question, found)) or moved
        return moved

    @property
    def _interval(self) -> timedelta:
        return self.world.deployment.spec.monitoring.interval

    def _grid(self, moment: datetime, rounded: Callable[[float], int]) -> datetime:
        """The point of the grid before or after a moment."""
        seconds = self._interval.total_seconds()
        return datetime.fromtimestamp(rounded(moment.timestamp() / seconds) * seconds, UTC)
