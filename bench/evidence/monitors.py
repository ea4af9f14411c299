"""Rules that watch one model: fed poll by poll, many lives at once, each starting afresh after its alarm."""

import numpy as np
from numpy.typing import NDArray

from modelmend.evidence import counts, detector

Array = NDArray[np.float64]

LIMIT = 0.10
"""Highest healthy share of wrong labels: accuracy .90."""
INTERVAL = 30.0
DAY = int(86_400 / INTERVAL)
MONTH = 30 * DAY
ALARM = MONTH
"""c of the detector: falseAlarmEvery 720h in polls of 30 s."""
SHORT = 30
"""Polls in the window that others look at: a quarter of an hour."""


class Lifelong:
    """The detector, one vote a label."""

    name = "**Lifelong**"
    stakes = np.array(detector.STAKES) / max(LIMIT, 0.5)

    def __init__(self, lives: int) -> None:
        self.m = np.zeros((lives, len(self.stakes)))
        self.up, self.down = np.log1p(self.stakes * (1 - LIMIT)), np.log1p(-self.stakes * LIMIT)

    def step(self, n: Array, bad: Array) -> NDArray[np.bool_]:
        factor = np.exp(np.multiply.outer(bad, self.up) + np.multiply.outer(n - bad, self.down))
        self.m = np.where(n[:, None] > 0, np.minimum((self.m + 1) * factor, 10 * ALARM), self.m)
        alarm = (self.m.mean(axis=1) >= ALARM) & (bad > n * LIMIT)
        self.m[alarm] = 0
        return alarm


class Blocks:
    """The detector, one vote a block."""

    stakes = np.array(detector.STAKES) / LIMIT

    def __init__(self, lives: int, polls: int, name: str) -> None:
        self.name, self.polls, self.alarm = name, polls, ALARM / polls
        self.m = np.zeros((lives, len(self.stakes)))
        self.n, self.bad, self.at = np.zeros(lives), np.zeros(lives), 0

    def step(self, n: Array, bad: Array) -> NDArray[np.bool_]:
        self.n, self.bad, self.at = self.n + n, self.bad + bad, self.at + 1
        if self.at % self.polls:
            return np.zeros(len(n), dtype=bool)
        share = self.bad / np.maximum(self.n, 1)
        grown = (self.m + 1) * (1 + np.multiply.outer(share - LIMIT, self.stakes))
        self.m = np.where(self.n[:, None] > 0, np.minimum(grown, 10 * self.alarm), self.m)
        alarm = (self.m.mean(axis=1) >= self.alarm) & (self.bad > self.n * LIMIT)
        self.m[alarm] = 0
        self.n, self.bad = np.zeros(len(n)), np.zeros(len(n))
        return alarm


class Rolling:
    """A rule on the last polls: which of them is bad, and how many bad ones make an alarm."""

    def __init__(self, lives: int, name: str, window: int, rule: str, needed: int, in_a_row: bool) -> None:
        self.name, self.window, self.rule, self.needed, self.in_a_row = name, window, rule, needed, in_a_row
        self.n, self.bad = np.zeros((window, lives)), np.zeros((window, lives))
        self.sum_n, self.sum_bad = np.zeros(lives), np.zeros(lives)
        self.age, self.failed, self.at = np.zeros(lives), np.zeros(lives), 0

    def step(self, n: Array, bad: Array) -> NDArray[np.bool_]:
        place = self.at % self.window
        self.sum_n += n - self.n[place]
        self.sum_bad += bad - self.bad[place]
        self.n[place], self.bad[place] = n, bad
        self.at, self.age = self.at + 1, self.age + 1
        full = self.age >= self.window
        fails = full & (self.sum_n > 0) & self._fails()
        self.failed = np.where(fails, self.failed + 1, 0 if self.in_a_row else self.failed)
        alarm = self.failed >= self.needed
        if alarm.any():
            self.failed[alarm] = self.age[alarm] = self.sum_n[alarm] = self.sum_bad[alarm] = 0
            self.n[:, alarm] = self.bad[:, alarm] = 0
        return alarm

    def _fails(self) -> NDArray[np.bool_]:
        n = np.maximum(self.sum_n, 1)
        share = self.sum_bad / n
        if self.rule == "below":
            return share > LIMIT
        if self.rule == "z":
            return (share - LIMIT) / np.sqrt(LIMIT * (1 - LIMIT) / n) > 1.645
        spread = 16 / n  # Wilson at four standard errors
        half = 4 * np.sqrt(share * (1 - share) / n + spread / (4 * n))
        return (share + spread / 2 - half) / (1 + spread) >= LIMIT


def ours(lives: int) -> list:
    return [
        Lifelong(lives),
        Blocks(lives, DAY // 24, "**Lifelong, block 1h**"),
        Blocks(lives, DAY, "**Lifelong, block 1d**"),
        Rolling(lives, "**Threshold** (Wilson, z = 4, 6 h)", DAY // 4, "wilson", 1, in_a_row=False),
    ]


def rivals(lives: int) -> list:
    return [
        Rolling(
            lives, "ten polls below the limit in a row (15 min window)", SHORT, "below", 10, in_a_row=True
        ),
        Rolling(lives, "Argo-like: more than 3 failed measurements", SHORT, "below", 4, in_a_row=False),
        Rolling(lives, "Flagger-like: 5 failed checks", SHORT, "below", 5, in_a_row=False),
        Rolling(lives, "z-test at 5 % at each poll (15 min window)", SHORT, "z", 1, in_a_row=False),
    ]


class Kept:
    """What the first lives of a run saw: new labels and wrong ones, (polls, lives), for those who are fed apart."""

    def __init__(self, polls: int, lives: int) -> None:
        self.n, self.bad = np.zeros((polls, lives), np.int16), np.zeros((polls, lives), np.int16)
        self.polls = 0

    def put(self, n: Array, bad: Array) -> None:
        lives = self.n.shape[1]
        self.n[self.polls], self.bad[self.polls] = n[:lives], bad[:lives]
        self.polls += 1

    def arrays(self, lives: int | None = None) -> dict[str, NDArray[np.int16]]:
        return {"n": self.n[: self.polls, :lives], "bad": self.bad[: self.polls, :lives]}


def false_alarms(
    seed: int, lives: int, error: Array, labels: float, rows: int = 1, keep: Kept | None = None
) -> dict[str, float]:
    """Alarms a life of `len(error)` polls, whose expected share of wrong labels is error[t]; `rows` alike in each
    request."""
    rng, rules = np.random.default_rng(seed), [*ours(lives), *rivals(lives)]
    total = {rule.name: 0 for rule in rules}
    for share in error:
        n = rng.poisson(labels, lives)
        bad = rng.binomial(n, share) * rows
        if keep is not None:
            keep.put(n * rows, bad)
        for rule in rules:
            total[rule.name] += int(rule.step((n * rows).astype(float), bad.astype(float)).sum())
    return {name: number / lives for name, number in total.items()}


def quick_labels(seed: int, lives: int, days: int) -> dict[str, float]:
    """Share of new versions called failing in their first days: accuracy .92, wrong labels come after an hour,
    right ones after twelve."""
    rng, rules = np.random.default_rng(seed), [*ours(lives), *rivals(lives)]
    patient = Lifelong(lives)
    patient.name = "**Lifelong, labels counted from the delay's p90 on**"
    rules.insert(0, patient)
    found = {rule.name: np.zeros(lives, dtype=bool) for rule in rules}
    hour = DAY // 24
    for poll in range(days * DAY):
        bad = rng.poisson(20 * 0.08, lives) if poll >= hour else np.zeros(lives)
        n = bad + (rng.poisson(20 * 0.92, lives) if poll >= 12 * hour else 0)
        for rule in rules:
            if rule is not patient or poll >= 12 * hour:
                found[rule.name] |= rule.step(n.astype(float), bad.astype(float))
    return {name: float(alarmed.mean()) for name, alarmed in found.items()}


def delays(
    seed: int,
    lives: int,
    healthy: float,
    fallen: float,
    labels: float,
    longest: int,
    keep: Kept | None = None,
) -> dict[str, float]:
    """Median hours from a fall, after a healthy day, to the next alarm; infinity if that is later than `longest`
    polls."""
    rng, rules = np.random.default_rng(seed), [*ours(lives), *rivals(lives)]
    first = {rule.name: np.full(lives, np.inf) for rule in rules}
    for poll in range(DAY + longest):
        n = rng.poisson(labels, lives)
        bad = rng.binomial(n, healthy if poll < DAY else fallen)
        if keep is not None:
            keep.put(n, bad)
        for rule in rules:
            alarm = rule.step(n.astype(float), bad.astype(float))
            if poll >= DAY:
                seen = first[rule.name]
                seen[alarm & np.isinf(seen)] = (poll - DAY + 1) * INTERVAL / 3600
        if poll >= DAY and all(np.isfinite(seen).all() for seen in first.values()):
            break
    return {name: float(np.median(seen)) for name, seen in first.items()}


def agree(seed: int) -> None:
    """The arrays here and the room itself alarm at the same polls; AssertionError otherwise."""
    rng, state, block = np.random.default_rng(seed), detector.State(), detector.State()
    limit, hourly = detector.Limit(LIMIT, ALARM), detector.Limit(LIMIT, ALARM / (DAY // 24))
    one, hours, gathered = Lifelong(1), Blocks(1, DAY // 24, ""), counts.Tally()
    for poll in range(DAY // 4):
        n = int(rng.poisson(20))
        new = counts.Tally(n, int(rng.binomial(n, 0.13)))
        state, gathered = detector.step(state, new, limit), gathered + new
        alarm = one.step(np.array([float(n)]), np.array([float(new.bad)]))[0]
        assert alarm == state.breached, f"the detector at poll {poll}"
        voted = hours.step(np.array([float(n)]), np.array([float(new.bad)]))[0]
        if (poll + 1) % (DAY // 24) == 0:
            block, gathered = detector.vote(block, gathered, hourly), counts.Tally()
        assert voted == block.breached, f"the detector in blocks at poll {poll}"
        state = detector.State() if state.breached else state
        block = detector.State() if block.breached else block
