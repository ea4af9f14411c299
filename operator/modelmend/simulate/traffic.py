"""Who answers which request, and the counters that its label moves: what gateway, servers and Prometheus do.

The route splits by a number that each request draws from the seed. As in a server (runtime.server.feedback):

    arm       answers      requests are counted of     evidence of    pairs of
    solo      its own      the version                 the version    -
    shadow    champion     both                        champion       candidate
    canary    candidate    the candidate               candidate      candidate

Requests are routed ahead of time, in chunks; a route that changes routes those after it anew.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from modelmend.contract import arms, metrics
from modelmend.evidence import confusion, ledger
from modelmend.observe import answers
from modelmend.simulate.models import CHUNK, Models
from modelmend.simulate.replayed import NO_LABEL, Requests

PROCESS: Final = "simulated"
NOBODY: Final = -1
Rows = npt.NDArray[np.intp]
_EVIDENCE: Final = (metrics.Evidence.RIGHT, metrics.Evidence.WRONG)
_PAIRS: Final = (
    metrics.Paired.BOTH_RIGHT,
    metrics.Paired.CANDIDATE_ONLY_WRONG,
    metrics.Paired.CHAMPION_ONLY_WRONG,
    metrics.Paired.BOTH_WRONG,
)
"""At 1 * (candidate is wrong) + 2 * (champion is wrong)."""


@dataclass(frozen=True)
class Side:
    """One version that takes part in answering: its name, and which life of it."""

    version: str
    rollout: str


@dataclass(frozen=True)
class Route:
    """Where requests go: `share` (0 to 1) of them to `other` on its arm, the rest to `main` alone."""

    main: Side | None
    other: Side | None = None
    beside: Side | None = None
    """The champion that the other's pods load beside their own model."""
    arm: arms.Arm = arms.Arm.SOLO
    share: float = 0.0


class Traffic:
    """All requests of one simulation, and what was counted of them up to a moment."""

    def __init__(self, requests: Requests, models: Models, seed: int) -> None:
        self.requests = requests
        self.answered: npt.NDArray[np.int16] = np.full(len(requests), NOBODY, np.int16)
        """Code of the answer that the client got, NOBODY where there was none; shape (n,)."""
        self._models = models
        self._draws = np.random.default_rng(seed).random(len(requests))
        self._route = Route(None)
        self._routed = 0
        self._rollouts: dict[str, int] = {}
        self._versions: dict[str, str] = {}
        """By rollout."""
        # Cells of counters, 0 for none: 1 + rollout for requests, 1 + 2 * rollout for labels, 1 + 4 * rollout for pairs,
        # and for labels by class 1 + classes^2 * rollout.
        self._first, self._second, self._label, self._table, self._pair = (
            np.zeros(len(requests), np.int32) for _ in range(5)
        )
        self._counts = {name: np.zeros(1, np.int64) for name in ("requests", "labels", "tables", "pairs")}
        classes = requests.classes if len(requests.classes) <= metrics.CLASSES_MAX else ()
        self._cells = [confusion.result_name(said, true) for said in classes for true in classes]
        """Names of a table's cells; none of more classes than a server counts apart."""
        self._requests_to, self._labels_to = 0, 0
        self._labelled = np.flatnonzero(requests.labels != NO_LABEL)
        self._labels_at = requests.seconds[self._labelled] + requests.delay

    def route(self, at: float, route: Route) -> None:
        """From this moment on (seconds since the epoch) requests go this way."""
        row = self.requests.row_at(at)
        self._send(row)
        self._routed = min(self._routed, row)
        self._route = route

    def next_label(self) -> float | None:
        """When the next label that is not counted yet comes; None when all have come."""
        return None if self._labels_to >= len(self._labelled) else float(self._labels_at[self._labels_to])

    def next_request(self) -> float | None:
        """When the next request that is not counted yet comes."""
        return (
            None
            if self._requests_to >= len(self.requests)
            else float(self.requests.seconds[self._requests_to])
        )

    def last_label(self) -> float:
        """When the last label comes."""
        return float(self._labels_at[-1])

    def poll(
        self,
        at: float,
        owner: answers.Key,
        rollouts: Iterable[str],
        bound: float | None,
        *,
        by_class: bool = False,
    ) -> answers.Answer:
        """The counters of these rollouts at this moment, as Prometheus would tell them. Every request is in the latency
        bucket of `bound`, if there is one."""
        self._count(at)
        answer = answers.Answer(at=at, moment=f"{at:.3f}")
        answer.scraped[owner] = at
        for rollout in rollouts:
            place = (*owner, rollout)
            found = answer.counters[place][PROCESS]
            number = self._rollouts.get(rollout)
            for name, results in (("labels", _EVIDENCE), ("pairs", _PAIRS)):
                cell = None if number is None else 1 + len(results) * number
                for offset, result in enumerate(results):
                    found[result] = self._counted(name, cell, offset)
            if by_class and number is not None:
                found |= self._by_class(number)
            requests = self._counted("requests", None if number is None else 1 + number, 0)
            found |= {ledger.ANSWERED: requests, ledger.FAILED: 0.0, ledger.TIMED: requests}
            if bound is not None:
                answer.buckets[bound][place][PROCESS] = requests
        return answer

    def answered_by(self, rollout: str, begin: float, end: float) -> tuple[str | None, slice, Rows]:
        """The version of this life, the requests of a stretch of time, and which of them it answered itself; no version
        when it never had a request."""
        first, last = (int(np.searchsorted(self.requests.seconds, at, side="right")) for at in (begin, end))
        self._send(last)
        part, number = slice(first, last), self._rollouts.get(rollout)
        if number is None:
            return None, part, np.zeros(0, np.intp)
        return self._versions[rollout], part, np.flatnonzero(self._first[part] == 1 + number)

    def labelled_of(self, rollout: str, begin: float, end: float) -> tuple[Rows, Rows]:
        """The requests that this life answered and whose labels came in a stretch of time: all of them, and those
        that were right."""
        first, last = (int(np.searchsorted(self._labels_at, at, side="right")) for at in (begin, end))
        rows, number = self._labelled[first:last], self._rollouts.get(rollout)
        if number is None:
            return rows[:0], rows[:0]
        cells = self._label[rows]
        right = cells == 1 + 2 * number
        return rows[right | (cells == 2 + 2 * number)], rows[right]

    def send_everything(self) -> None:
        """Route what is left, so that every request has its answer."""
        self._send(len(self.requests))

    def _by_class(self, number: int) -> dict[str, float]:
        begin = 1 + len(self._cells) * number
        counts = self._counts["tables"][begin : begin + len(self._cells)]
        # Cells that are empty need no name: nothing was counted in them.
        return {self._cells[cell]: float(counts[cell]) for cell in np.flatnonzero(counts)}

    def _counted(self, name: str, cell: int | None, offset: int) -> float:
        counts = self._counts[name]
        return float(counts[cell + offset]) if cell is not None and cell + offset < len(counts) else 0.0

    def _count(self, at: float) -> None:
        end = int(np.searchsorted(self.requests.seconds, at, side="right"))
        self._send(end)
        if end > self._requests_to:
            self._add("requests", self._first[self._requests_to : end])
            self._add("requests", self._second[self._requests_to : end])
            self._requests_to = end
        labels = int(np.searchsorted(self._labels_at, at, side="right"))
        if labels > self._labels_to:
            rows = self._labelled[self._labels_to : labels]
            self._add("labels", self._label[rows])
            self._add("tables", self._table[rows])
            self._add("pairs", self._pair[rows])
            self._labels_to = labels

    def _add(self, name: str, cells: npt.NDArray[np.int32]) -> None:
        counts = self._counts[name]
        new = np.bincount(cells, minlength=len(counts))
        new[: len(counts)] += counts
        self._counts[name] = new

    def _send(self, end: int) -> None:
        """Every request before `end` has its answer, by the present route."""
        while self._routed < end:
            chunk = min((self._routed // CHUNK + 1) * CHUNK, len(self.requests))
            self._answer(self._routed, chunk)
            self._routed = chunk

    def _answer(self, begin: int, end: int) -> None:
        part, route = slice(begin, end), self._route
        for cells in (self._first, self._second, self._label, self._table, self._pair):
            cells[part] = 0
        self.answered[part] = NOBODY
        to_other = self._draws[part] < route.share
        if route.main is not None:
            self._solo(part, ~to_other, route.main)
        if route.other is None or not to_other.any():
            return
        if route.beside is None or route.arm is arms.Arm.SOLO:
            self._solo(part, to_other, route.other)
        else:
            self._paired(part, to_other, route.other, route.beside, in_shadow=route.arm is arms.Arm.SHADOW)

    def _solo(self, part: slice, chosen: npt.NDArray[np.bool_], side: Side) -> None:
        codes, number = self._models.codes(side.version, part.start, part.stop), self._number(side)
        wrong = codes != self.requests.labels[part]
        self.answered[part][chosen] = codes[chosen]
        self._first[part][chosen] = 1 + number
        self._label[part][chosen] = 1 + 2 * number + wrong[chosen]
        self._tabulate(part, chosen, number, codes)

    def _paired(
        self, part: slice, chosen: npt.NDArray[np.bool_], candidate: Side, champion: Side, *, in_shadow: bool
    ) -> None:
        sides = {
            side: self._models.codes(side.version, part.start, part.stop) for side in (candidate, champion)
        }
        truth = self.requests.labels[part]
        wrong = {side: codes != truth for side, codes in sides.items()}
        answers_ = champion if in_shadow else candidate
        pair = 1 + 4 * self._number(candidate) + wrong[candidate] + 2 * wrong[champion]
        self.answered[part][chosen] = sides[answers_][chosen]
        self._first[part][chosen] = 1 + self._number(answers_)
        if in_shadow:
            self._second[part][chosen] = 1 + self._number(candidate)
        self._label[part][chosen] = (1 + 2 * self._number(answers_) + wrong[answers_])[chosen]
        self._tabulate(part, chosen, self._number(answers_), sides[answers_])
        self._pair[part][chosen] = pair[chosen]

    def _tabulate(
        self, part: slice, chosen: npt.NDArray[np.bool_], number: int, codes: npt.NDArray[np.int16]
    ) -> None:
        if self._cells:
            cells = codes.astype(np.int32) * len(self.requests.classes) + self.requests.labels[part]
            self._table[part][chosen] = 1 + len(self._cells) * number + cells[chosen]

    def _number(self, side: Side) -> int:
        self._versions[side.rollout] = side.version
        return self._rollouts.setdefault(side.rollout, len(self._rollouts))
