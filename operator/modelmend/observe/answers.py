"""What one poll brings, whoever was asked. Made by `prometheus`, and by the simulator from its own counters; taken by
`ledgers`."""

from collections import defaultdict
from dataclasses import dataclass, field

Key = tuple[str, str]
"""(namespace, name) of a ModelDeployment."""
Place = tuple[str, str, str]
"""(namespace, model, rollout)."""


@dataclass(slots=True)
class Answer:
    """One poll that succeeded."""

    at: float
    """When it was asked, on our clock: seconds since the epoch. Prometheus's own clock may be wrong."""
    counters: dict[Place, dict[str, dict[str, float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(dict))
    )
    """By place: process -> result -> value."""
    buckets: dict[float, dict[Place, dict[str, float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(dict))
    )
    """By latency bound: place -> process -> requests in that bucket."""
    scraped: dict[tuple[str, str], float] = field(default_factory=dict)
    """(namespace, model) -> when a pod of it was last scraped, on our clock."""
    moment: str = ""
    """The moment that was asked about, on Prometheus's clock."""
    dropped: int = 0
    """Samples that were no sensible number, lacked a label, or came twice."""
    unread: str | None = None
    """Why the counters of servers of the users' own are missing, as a sentence: nobody else's are."""
    warnings: tuple[str, ...] = ()
    """What Prometheus had to say about its own answers: that they are not whole, for instance."""
