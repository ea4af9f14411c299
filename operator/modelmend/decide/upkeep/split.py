"""Shares of traffic by numbers of pods: what a Service does that stands before champion and candidate at once.

It gives every pod behind it the same chance, so of `a` pods of the champion and `b` of the candidate the candidate gets
b / (a + b). The champion never has fewer pods than spec says, and both together never more than promotion needs anyway,
which is twice the replicas. Of the numbers within these bounds those are taken whose share is nearest to what is asked
for; of equally near ones the fewer pods, then the smaller share.

    replicas    10 %          20 %          50 %
    1           1 + 1: 50     1 + 1: 50     1 + 1: 50
    2           3 + 1: 25     3 + 1: 25     2 + 2: 50
    3           5 + 1: 17     4 + 1: 20     3 + 3: 50
    5           9 + 1: 10     8 + 2: 20     5 + 5: 50

More than 50 % is out of reach, but for 100 %, where the Service leaves the champion out.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

from modelmend.api.spec import ModelDeploymentSpec
from modelmend.api.status import Share, Split
from modelmend.decide import observed

TOLERATED: Final = Fraction(1, 4)
"""A share that is off by no more than this part of what is asked for is near enough …"""
NEGLIGIBLE: Final = Fraction(1)
"""… and so is one that is off by no more than this many points."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Pods behind the Service."""

    champion: int
    candidate: int

    @property
    def total(self) -> int:
        return self.champion + self.candidate

    @property
    def weight(self) -> int:
        """The candidate's share as a whole percent, as it is seen in the world."""
        return observed.percent(self.candidate, self.total)

    def off(self, weight: int) -> Fraction:
        """Points between the candidate's share and what is asked for."""
        return abs(Fraction(100 * self.candidate, self.total) - weight)


@lru_cache(maxsize=4096)
def counts(weight: int, replicas: int) -> Counts:
    """Numbers of pods for a share of `weight` percent, above 0 and below 100."""

    def found() -> list[Counts]:
        near = []
        for candidate in range(1, replicas + 1):
            most = 2 * replicas - candidate
            wanted = candidate * (100 - weight) // weight
            # The share falls with every pod of the champion: the best stand on both sides of the exact number.
            near += [
                Counts(min(max(champion, replicas), most), candidate) for champion in (wanted, wanted + 1)
            ]
        return near

    return min(found(), key=lambda each: (each.off(weight), each.total, each.candidate))


def is_near(weight: int, replicas: int) -> bool:
    """The share that can be reached is about the one that is asked for."""
    if weight == 100:
        return True
    off = counts(weight, replicas).off(weight)
    return off <= NEGLIGIBLE or off <= TOLERATED * min(weight, 100 - weight)


def enough(weight: int) -> int | None:
    """From so many replicas on, a share is near; None: however many there are, it is not."""
    # 1 in 100 is the smallest share, and the smallest that replicas allow is 1 in twice as many.
    return next((replicas for replicas in range(1, 51) if is_near(weight, replicas)), None)


def told(spec: ModelDeploymentSpec) -> Split | None:
    """What the status says of the shares that a rollout will ask for; None with a gateway, which takes any weight."""
    if spec.serving.gateway is not None:
        return None
    replicas = spec.serving.replicas
    asked = sorted({spec.rollout.shadow.traffic, *(step.weight for step in spec.rollout.steps)})
    return Split(
        shares=tuple(_share(weight, replicas) for weight in asked), warning=_warning(asked, replicas)
    )


def _share(weight: int, replicas: int) -> Share:
    if weight == 100:
        return Share(wanted=100, reached=100, champion_pods=0, candidate_pods=replicas)
    found = counts(weight, replicas)
    return Share(
        wanted=weight, reached=found.weight, champion_pods=found.champion, candidate_pods=found.candidate
    )


def _warning(asked: list[int], replicas: int) -> str | None:
    far = [weight for weight in asked if not is_near(weight, replicas)]
    if not far:
        return None
    shares = ", ".join(f"{counts(weight, replicas).weight} % instead of {weight} %" for weight in far)
    needed = [enough(weight) for weight in far]
    least = max((number for number in needed if number is not None), default=None)
    remedy = "serving.gateway takes any weight"
    if least is not None:
        which = "comes near" if None not in needed else "comes near the smaller ones"
        remedy = f"serving.replicas of {least} or more {which}, {remedy}"
    return f"with serving.replicas {replicas} and no serving.gateway a candidate gets {shares}: {remedy}"
