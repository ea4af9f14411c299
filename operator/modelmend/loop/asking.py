"""Signals of type Query, beside the beat: the pulse says who is due, and waits for no answer.

Whatever tenants' queries cost, the poll that all evidence comes from is not held up: these have a connection, a thread
and a budget of time of their own. While one round of them lasts, whoever comes due is asked in the next.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from modelmend.evidence import query
from modelmend.observe import cluster, gather, ledgers, queries


@dataclass(slots=True)
class Asking:
    """Asks for ever. `add` is told every key that needs a look."""

    observer: gather.Observer
    asker: queries.Queries
    add: Callable[[cluster.Key], None]
    _due: dict[cluster.Key, None] = field(default_factory=dict)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def want(self, keys: Sequence[cluster.Key]) -> None:
        """Ask the queries of these as soon as may be."""
        self._due |= dict.fromkeys(keys)
        self._woken.set()

    async def run(self) -> None:
        """Round by round."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            keys, self._due = list(self._due), {}
            await self.ask(keys)

    async def ask(self, keys: Sequence[cluster.Key]) -> None:
        """One round, for these."""
        questions = []
        for place, key in enumerate(keys):
            questions += self._questions(key)
            if place % 100 == 99:
                await asyncio.sleep(0)  # Ten thousand models must not hold up a lease.
        texts = [question.text for question in questions if question.text is not None]
        found = await self.asker.ask(texts) if texts else {}
        at = time.time()
        for question in questions:
            answer = query.Answer(error=question.error) if question.text is None else found.get(question.text)
            if answer is not None:
                self._take(question, answer, at)

    def _questions(self, key: cluster.Key) -> list[ledgers.Question]:
        """Of one object that cannot be read, none: it says so where it is, and must not stop the others."""
        try:
            return self.observer.questions(key)
        except ValidationError:
            return []

    def _take(self, question: ledgers.Question, answer: query.Answer, at: float) -> None:
        if self.observer.books.answered(question, answer, at):
            self.add(question.key)
