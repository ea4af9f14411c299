"""The verdict on drift: have inputs or predictions moved from what the model was fitted on, and by enough to matter?

Called by decide, once a window, for FeatureDrift (a histogram per feature) and PredictionDrift (of the score, and
of the class). A feature has drifted when both hold, with d features judged and PSI of `psi`:

    significance    moved > T(N), exceeded without drift with probability alpha / d: any false alarm at most alpha
    effect          PSI - what is expected without drift > effect, or a million rows would make everything drift

Guarantee: without drift, rows independent (or alike as the reference's own blocks are, if they were measured), a
window is Breached with probability at most alpha, asymptotically in 20 rows a bin; below that, on either side, the
verdict is Unknown. Windows must not overlap (`windows`): then at least 1/alpha of them lie between two false alarms
on average. The list of drifted features controls the share of false ones in it instead (Benjamini, Hochberg 1995, at
alpha). Drift of inputs is not harm: it says that the world moved, not that the model fails.

No numpy: 5,000 features of 11 bins are 55,000 logarithms, a tenth of a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from modelmend.evidence import psi, verdict

ROWS_PER_BIN = 20
NAMED = 3
"""Features that the sentence names."""


@dataclass(frozen=True, slots=True)
class Asked:
    """effect: PSI beyond chance that matters, at least 0. what: in the plural: features, or predictions.
    alpha: of a false alarm per window: window / falseAlarmEvery.
    """

    effect: float
    alpha: float
    what: str = "features"


@dataclass(frozen=True, slots=True)
class Feature:
    """Rows by bin in the reference and in the window. blocks: of the reference, where they were measured."""

    name: str
    reference: psi.Bins
    live: psi.Bins
    blocks: psi.Blocks | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One feature. needed: the PSI that would be drift; None when not judged. p: of such a PSI without drift."""

    name: str
    distance: psi.Distance
    needed: float | None
    p: float
    effect: float
    """PSI beyond what is expected without drift."""

    @property
    def is_drifted(self) -> bool:
        """By Bonferroni and the effect."""
        return self.needed is not None and self.distance.degrees > 0 and self.distance.psi > self.needed


@dataclass(frozen=True, slots=True)
class Report:
    """judgement: value is the PSI of the feature nearest to its limit, bound that limit, n the rows of the window.
    drifted: names by Benjamini-Hochberg, the largest PSI first. found: of every feature, in the order given."""

    judgement: verdict.Judgement
    drifted: tuple[str, ...]
    found: tuple[Found, ...]


def judge(asked: Asked, features: Sequence[Feature]) -> Report:
    """The verdict on one window."""
    distances = [psi.distance(feature.reference, feature.live) for feature in features]
    enough = [_rows_needed(each) <= min(each.n, each.m) for each in distances]
    d = max(sum(enough), 1)
    quantiles: dict[float, float] = {}
    found = tuple(
        _found(asked, feature, each, asked.alpha / d, quantiles)
        if known
        else Found(feature.name, each, None, 1.0, 0.0)
        for feature, each, known in zip(features, distances, enough, strict=True)
    )
    judged = [each for each in found if each.needed is not None]
    drifted = _discovered(asked, judged)
    return Report(_judgement(asked, found, judged), tuple(each.name for each in drifted), found)


def rows_needed(features: Sequence[Feature]) -> int:
    """Rows of a window with which every feature can be judged; 0 without features."""
    return max(
        (_rows_needed(psi.distance(feature.reference, feature.live)) for feature in features), default=0
    )


def _rows_needed(found: psi.Distance) -> int:
    return ROWS_PER_BIN * (found.degrees + 1)


def _found(
    asked: Asked, feature: Feature, found: psi.Distance, p: float, quantiles: dict[float, float]
) -> Found:
    noise = psi.noise(found, feature.blocks)
    # In units of the PSI that people see, which is `moved` and what bins with few rows add to it.
    significant = psi.threshold(found, feature.blocks, p, quantiles) + found.psi - found.moved
    needed = max(significant, noise + asked.effect + found.floor)
    effect = found.psi - found.floor - noise
    return Found(feature.name, found, needed, psi.p_value(found, feature.blocks), effect)


def _discovered(asked: Asked, judged: Sequence[Found]) -> list[Found]:
    """Benjamini-Hochberg: the largest k with the k-th smallest p at most k alpha / d; of those, the ones that
    matter."""
    ordered = sorted(judged, key=lambda each: each.p)
    last = max(
        (k for k, each in enumerate(ordered, 1) if each.p <= k * asked.alpha / len(ordered)), default=0
    )
    kept = [each for each in ordered[:last] if each.effect > asked.effect]
    return sorted(kept, key=lambda each: -each.distance.psi)


def _judgement(asked: Asked, found: Sequence[Found], judged: Sequence[Found]) -> verdict.Judgement:
    if not found:
        return verdict.unknown(f"no reference to compare {asked.what} with")
    n = max(each.distance.n for each in found)
    if not judged:
        return verdict.unknown(_lack(found, n), n)
    beyond = sorted((each for each in judged if each.is_drifted), key=lambda each: -each.distance.psi)
    nearest = beyond[0] if beyond else max(judged, key=_nearness)
    value, needed = nearest.distance.psi, nearest.needed or 0.0
    if beyond:
        because = f"{len(beyond):,} of {_some(len(judged), asked.what)} drifted: {_told(beyond[0])}"
        if beyond[1:]:
            named = ", ".join(each.name for each in beyond[1:NAMED])
            rest = len(beyond) - NAMED
            because += f"; {named}" + (f" and {rest:,} more" if rest > 0 else "")
        return verdict.Judgement(verdict.Verdict.BREACHED, value, needed, n, because)
    written = verdict.figures(value, needed)
    near = f"nearest is {nearest.name}, PSI {written[0]} of {written[1]} needed"
    because = f"no drift in {_some(len(judged), asked.what)} over {n:,} rows: {near}"
    if len(found) > len(judged):
        because += f"; {len(found) - len(judged):,} not judged for too few rows"
    return verdict.Judgement(verdict.Verdict.OK, value, needed, n, because)


def _nearness(found: Found) -> float:
    return found.distance.psi / found.needed if found.needed else 0.0


def _told(found: Found) -> str:
    value, needed = verdict.figures(found.distance.psi, found.needed or 0.0)
    was, is_ = verdict.figures(found.distance.before, found.distance.now)
    return (
        f"{found.name} PSI {value} over {found.distance.n:,} rows is above {needed} "
        f"(most in {found.distance.bin}: {was} before, {is_} now)"
    )


def _lack(found: Sequence[Found], n: int) -> str:
    least = min(found, key=lambda each: _rows_needed(each.distance)).distance
    m, bins = max(each.distance.m for each in found), _some(least.degrees + 1, "bins")
    if m < _rows_needed(least):
        return f"the reference has {m:,} rows, and {_rows_needed(least):,} are needed for {bins}: pack it from more"
    if not n:
        return "no rows in the window"
    return f"too few rows for a verdict: {n:,} of {_rows_needed(least):,} needed for {bins}"


def _some(number: int, things: str) -> str:
    return f"{number:,} {things if number > 1 else things[:-1]}"
