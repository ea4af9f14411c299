"""What signals of type Query ask: many texts in few questions, and whose text it is that spoils them.

Called by the loop with the texts that are due. Texts are asked together, so that the number of questions hardly grows
with the number of signals; each round has at most `QUESTIONS` of them, and those texts come first that have waited
longest. When Prometheus refuses a question, or it takes too long, its texts are asked in halves until the guilty one
stands alone: that one has an error, and rests before it is asked again, longer each time. A text that was in a spoilt
question stays in small company for a while, and a new one begins in it: those that are known to be good do not wait for
those that are not.
"""

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from modelmend.evidence import query
from modelmend.observe import prometheus, promql

log = logging.getLogger(__name__)

MOST: Final = 128
"""Texts in one question."""
NEW: Final = 16
"""Texts in one question with a new one."""
LONGEST: Final = 65_536
"""Characters of one question, more or less."""
QUESTIONS: Final = 12
"""Questions of one round."""
PATIENCE: Final = 5.0
"""Seconds that Prometheus may take for one question."""
BUDGET: Final = 20.0
"""Seconds of a round from which no further question is begun."""
ANSWER: Final = 4 * 1024 * 1024
"""Bytes of one answer."""
REST: Final = 60.0
"""Seconds for which a text that is an error by itself is left alone; twice as long each time, up to LONGEST_REST."""
LONGEST_REST: Final = 900.0
PROBATION: Final = 600.0
"""Seconds after a spoilt question before a text may be in larger company again."""
FORGET: Final = 7200.0
"""Seconds after which a text that nobody asks any more is forgotten: longer than any interval."""
_WRAPPED: Final = 80
"""Characters that stand around each text."""

Ask = Callable[[str, float, int], Awaitable[list[tuple[Mapping[str, str], float]]]]
"""`prometheus.Prometheus.vector`."""


@dataclass(slots=True)
class _Known:
    """What is known of one text. Times are `time.monotonic`."""

    wanted_at: float
    asked_at: float = float("-inf")
    company: int = NEW
    """At most so many texts in a question with it."""
    spoilt_at: float = float("-inf")
    strikes: int = 0
    rests_until: float = float("-inf")
    error: str = ""


class Queries:
    """Remembers which texts may be asked together."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[str, _Known] = {}
        self._trouble: str | None = None

    async def ask(self, texts: Iterable[str]) -> dict[str, query.Answer]:
        """The answer to each text, `promql.filled`; none to those that this round had no time for, or while Prometheus
        is in trouble."""
        begun = time.monotonic()
        wanted = dict.fromkeys(texts)
        self._want(wanted, begun)
        found: dict[str, query.Answer] = {}
        rested = []
        for text in wanted:
            known = self._known[text]
            if known.rests_until > begun:
                found[text] = query.Answer(error=known.error)
            else:
                rested.append(text)
        waiting, asked = deque(self._grouped(rested)), 0
        while waiting and asked < QUESTIONS and time.monotonic() - begun < BUDGET:
            group = waiting.popleft()
            asked += 1
            try:
                found |= await self._answers(group)
            except prometheus.Unanswered as error:
                if error.fault is None:
                    self._complain(str(error))
                    return found  # It is no query's fault.
                if len(group) > 1:
                    half = (len(group) + 1) // 2
                    self._spoilt(group, half)
                    waiting.extendleft((group[half:], group[:half]))
                else:
                    found[group[0]] = query.Answer(error=self._refused(group[0], error.fault))
        self._complain(None)
        return found

    def _complain(self, trouble: str | None) -> None:
        """Once: the poll may well be answered where this is not, by a proxy that takes no POST for instance."""
        if trouble not in (None, self._trouble):
            log.warning("queries were not answered: %s", trouble)
        self._trouble = trouble

    def _want(self, texts: Iterable[str], now: float) -> None:
        for text in texts:
            self._known.setdefault(text, _Known(now)).wanted_at = now
        for text in [text for text, known in self._known.items() if now - known.wanted_at > FORGET]:
            del self._known[text]

    def _grouped(self, texts: list[str]) -> list[list[str]]:
        """Texts that may be asked together; whoever was asked longest ago comes first."""
        groups: list[list[str]] = []
        open_: dict[int, tuple[list[str], int]] = {}
        for text in sorted(texts, key=lambda text: self._known[text].asked_at):
            company, length = self._known[text].company, len(text) + _WRAPPED
            group, size = open_.get(company, ([], 0))
            if not group or len(group) >= company or size + length > LONGEST:
                group, size = [], 0
                groups.append(group)
            group.append(text)
            open_[company] = group, size + length
        return groups

    async def _answers(self, group: list[str]) -> dict[str, query.Answer]:
        values: dict[str, list[float]] = {text: [] for text in group}
        for text in group:
            self._known[text].asked_at = time.monotonic()
        by_index = {str(place): text for place, text in enumerate(group)}
        for labels, value in await self._ask(promql.joined(group), PATIENCE, ANSWER):
            if (index := labels.get(promql.INDEX, "")) not in by_index:
                raise prometheus.Unanswered(
                    "Prometheus answers with something else: labels that nobody asked for"
                )
            values[by_index[index]].append(value)
        now = time.monotonic()
        for text in group:
            known = self._known[text]
            known.strikes = 0
            if now - known.spoilt_at > PROBATION:
                known.company = min(known.company * 2, MOST)
        return {text: query.Answer(tuple(found)) for text, found in values.items()}

    def _spoilt(self, group: list[str], company: int) -> None:
        for text in group:
            self._known[text].company, self._known[text].spoilt_at = company, time.monotonic()

    def _refused(self, text: str, fault: str) -> str:
        known = self._known[text]
        self._spoilt([text], 1)
        known.rests_until = time.monotonic() + min(REST * 2**known.strikes, LONGEST_REST)
        known.strikes = min(known.strikes + 1, 10)
        known.error = f"its query has no answer ({fault}): correct spec.monitoring.signals[].query"
        return known.error
