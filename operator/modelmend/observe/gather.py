"""All that is known of one ModelDeployment, as one Observed. Called by the loop before every decision."""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import ValidationError

from modelmend.api import ownership, resources
from modelmend.decide import observed
from modelmend.observe import answers, cluster, front, jobs, ledgers, servers


@dataclass(slots=True)
class Observer:
    """Everything that observe remembers. One for the whole process."""

    settings: observed.Settings
    seen: cluster.Cluster = field(default_factory=cluster.Cluster)
    books: ledgers.Ledgers = field(default_factory=ledgers.Ledgers)
    poll: observed.Poll = field(default_factory=observed.Poll)
    poll_of_mapped: observed.Poll = field(default_factory=observed.Poll)
    """The same for models with servers of the users' own, whose counters are asked for by themselves."""
    keys: set[str] = field(default_factory=set)
    """uids of ModelDeployments whose feedback Secret is known to exist."""
    foreign: dict[cluster.Key, dict[tuple[str, str], observed.Foreign]] = field(default_factory=dict)
    blocked: dict[cluster.Key, str] = field(default_factory=dict)
    unreadable: dict[tuple[str | None, str], str] = field(default_factory=dict)
    """(namespace, kind) that the API server does not let us list, with a sentence: without it nothing can be decided
    there. None stands for all namespaces."""
    _fronts: front.Fronts = field(default_factory=front.Fronts)
    _jobs: jobs.Jobs = field(default_factory=jobs.Jobs)
    _scraped: dict[cluster.Key, datetime] = field(default_factory=dict)
    """When a pod of it was last scraped; else since when one has been ready."""

    def observe(self, key: cluster.Key, now: datetime) -> observed.Observed | None:
        """The world of this ModelDeployment; None when it is gone or on its way out.

        Raises pydantic.ValidationError when one of its objects cannot be read.
        """
        owner = self.seen.model(key)
        if owner is None or owner.metadata.deletion_timestamp is not None:
            return None
        versions = self.seen.versions(owner)
        self.books.open(owner, versions)
        found = servers.servers(self.seen, owner)
        return observed.Observed(
            now=now,
            deployment=owner,
            settings=self.settings,
            versions=versions,
            servers=found,
            front=self._fronts.front(self.seen, owner, found, owner.metadata.uid in self.keys, now),
            jobs=self._jobs.jobs(self.seen, owner, now),
            foreign=self._foreign(owner),
            ledgers=self.books.of(owner),
            poll=self.poll_of(key, now),
            blocked=self.blocked.get(key),
        )

    def unreadable_for(self, owner: resources.ModelDeployment) -> str | None:
        """Why nothing can be decided about this model. One without a gateway needs no Gateway API."""
        found = (
            why
            for (where, kind), why in self.unreadable.items()
            if where in (None, owner.metadata.namespace) and not _is_spared(kind, owner)
        )
        return next(found, None)

    def lacks_something(self) -> bool:
        """Whether a model waits for a kind that could not be listed."""
        if any(kind != cluster.ROUTE.name for _, kind in self.unreadable):
            return True
        return bool(self.unreadable) and any(self._waits(key) for key in self.seen.keys())  # noqa: SIM118

    def _waits(self, key: cluster.Key) -> bool:
        with contextlib.suppress(ValidationError):
            owner = self.seen.model(key)
            return owner is not None and self.unreadable_for(owner) is not None
        return False

    def counted_until(self, keys: Sequence[cluster.Key]) -> float | None:
        """Since when at least one of these ModelDeployments was not counted; None when none ever was."""
        for key in keys:
            # One that cannot be read, or counted, stops no other; it says so where it is.
            with contextlib.suppress(Exception):
                if (owner := self.seen.model(key)) is not None:
                    self.books.open(owner, self.seen.versions(owner))
        return self.books.oldest(keys)

    def advance(self, key: cluster.Key, answer: answers.Answer) -> bool:
        """Take one poll for this ModelDeployment. Returns whether anything new was counted."""
        owner = self.seen.model(key)
        if owner is None:
            return False
        if (at := answer.scraped.get(key)) is not None:
            scraped, known = datetime.fromtimestamp(at, UTC), self._scraped.get(key)
            # The last word of two Prometheus replicas; not that of a clock which has been set back.
            if known is None or known < scraped or known.timestamp() > answer.at:
                self._scraped[key] = scraped
        return self.books.advance(owner, self.seen.versions(owner), answer)

    def questions(self, key: cluster.Key) -> list[ledgers.Question]:
        """What the queries of this ModelDeployment ask. Raises pydantic.ValidationError as `observe` does."""
        owner = self.seen.model(key)
        if owner is None:
            return []
        self.books.open(owner, self.seen.versions(owner))
        return self.books.questions(owner)

    def wordless(self, found: observed.Observed) -> list[observed.Job]:
        """Jobs that ended and wait for their pod's last word: no event may come for it."""
        return [
            job
            for job in found.jobs
            if job.state is not observed.JobState.ENDED and self._jobs.waits(job.uid)
        ]

    def forget(self, key: cluster.Key, uid: str | None = None) -> None:
        """The ModelDeployment is gone."""
        self.books.forget(key)
        self.foreign.pop(key, None)
        self.blocked.pop(key, None)
        self._scraped.pop(key, None)
        if uid is not None:
            self.keys.discard(uid)
            self._fronts.forget(uid)

    def _foreign(self, owner: resources.ModelDeployment) -> tuple[observed.Foreign, ...]:
        found = dict(self.foreign.get(owner.key, {}))
        for kind in (cluster.DEPLOYMENT, cluster.SERVICE, cluster.ROUTE, cluster.JOB, cluster.VERSION):
            for live in self.seen.children(owner.key, kind):
                name = live["metadata"]["name"]
                # A child of a namesake that was deleted is on its way out, not somebody else's.
                if (
                    _may_be_wanted(kind, name, owner)
                    and not ownership.is_controlled_by(live, owner.metadata.uid)
                    and not _is_of_a_namesake(live, owner)
                ):
                    found[kind.name, name] = observed.Foreign(kind.name, name, ownership.controller(live))
        return tuple(found[place] for place in sorted(found))

    def poll_of(self, key: cluster.Key, now: datetime) -> observed.Poll:
        """How the last look went for this very model: a Prometheus that answers but scrapes nothing is no answer."""
        poll = self._poll(key)
        if poll.at is None or not self._has_ready_pods(key):
            self._scraped.pop(key, None)
            return poll
        since = self._scraped.setdefault(key, now)
        if now - since < self.settings.stale_after:
            return poll
        return observed.Poll(
            at=min(since, poll.at),
            problem=poll.problem
            or f"Prometheus answers, but has scraped no pod of {key[0]}/{key[1]} since {since:%Y-%m-%dT%H:%M:%SZ}",
        )

    def _poll(self, key: cluster.Key) -> observed.Poll:
        owner = self.seen.model(key)
        return self.poll if owner is None or owner.spec.serving.pairs else self.poll_of_mapped

    def is_stale(self, owner: resources.ModelDeployment, now: datetime) -> bool:
        """Whether nothing is known of this model any more."""
        patience = max(self.settings.stale_after, 3 * owner.spec.monitoring.interval)
        at = self.poll_of(owner.key, now).at
        return at is None or now - at >= patience

    def _has_ready_pods(self, key: cluster.Key) -> bool:
        return any(
            (live.get("status") or {}).get("readyReplicas", 0)
            for live in self.seen.children(key, cluster.DEPLOYMENT)
        )


def _is_spared(kind: str, owner: resources.ModelDeployment) -> bool:
    return kind == cluster.ROUTE.name and owner.spec.serving.gateway is None


def _may_be_wanted(kind: cluster.Kind, name: str, owner: resources.ModelDeployment) -> bool:
    """Whether a child of ours may ever need this name. A copy under another stands in nobody's way, though it has
    our labels: `kubectl expose` copies them."""
    own = owner.metadata.name
    if kind == cluster.JOB:
        return name.startswith(f"{own}-") and name.endswith(f"-{owner.metadata.uid[:8]}")
    if name == own:
        # Without a gateway a route of this name may well be a person's own way to our Service.
        has_route = owner.spec.serving.gateway is not None
        return kind == cluster.SERVICE or (kind == cluster.ROUTE and has_route)
    return kind != cluster.ROUTE and re.fullmatch(rf"{re.escape(own)}-v[1-9][0-9]*", name) is not None


def _is_of_a_namesake(live: cluster.Object, owner: resources.ModelDeployment) -> bool:
    return any(
        reference.get("controller")
        and reference.get("kind") == owner.KIND
        and reference.get("name") == owner.metadata.name
        for reference in live["metadata"].get("ownerReferences") or ()
    )
