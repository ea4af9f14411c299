"""Everything that exists once the models are loaded, put together: lanes, tallies, tokens, arms, the journal.

Imported only then: it brings numpy, pandas and scikit-learn, and a server that still imports already answers its
probes.
"""

import asyncio
import logging
import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from modelmend.contract.arms import PORTS, Arm
from modelmend.contract.manifest import Feature
from modelmend.runtime import errors, loaded, reference
from modelmend.runtime.server import answering, binning, exposition, feedback, tally, tokens
from modelmend.runtime.server.answering import ArmService, Role
from modelmend.runtime.server.batches import Batch
from modelmend.runtime.server.journal import Journal, Predictions
from modelmend.runtime.server.lanes import Lane
from modelmend.runtime.server.refusals import Unavailable
from modelmend.runtime.server.settings import Life, Settings
from modelmend.runtime.server.slots import Slot

_log = logging.getLogger(__name__)
_STUCK_SECONDS: Final = 60.0
"""A call that is overdue this long will not come back: the kubelet restarts the container."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A model's slot, and what stays known of it when it leaves memory."""

    slot: Slot
    face: answering.Presentation
    features: tuple[Feature, ...]
    class_keys: tuple[str, ...]
    """None of a regressor."""
    binner: binning.Binner
    score: reference.Numeric | None
    described: exposition.Known

    def served(self, *, answers: bool) -> tally.Served:
        return tally.Served(self.class_keys, self.binner if answers else None, self.score)

    @property
    def speaker(self) -> tuple[Life, tuple[str, ...]]:
        return self.slot.reference.life, self.class_keys


def _remember(slot: Slot, model: loaded.LoadedModel, arm: Arm, settings: Settings) -> _Loaded:
    life, binner = slot.reference.life, binning.Binner(model)
    if binner.left_out:
        _log.warning(
            "version %s has %d features, and the bins of the first %d are exported",
            life.version,
            len(model.manifest.features),
            len(binner.features),
            extra={"left_out": binner.left_out},
        )
    return _Loaded(
        slot=slot,
        face=answering.presentation(settings.model, life, model, settings.limits.rows),
        features=model.manifest.features,
        class_keys=model.class_keys,
        binner=binner,
        score=model.reference.score,
        described=exposition.known(life, arm, model, binner),
    )


class Serving:
    """A loaded server. Belongs to the event loop."""

    def __init__(self, settings: Settings, own: _Loaded, champion: _Loaded | None) -> None:
        self._settings = settings
        self.process = secrets.token_hex(6)
        self.ledger = tally.Ledger()
        self.journal = Journal(settings.logging, self.process, self.ledger)
        self._signer = tokens.Signer(settings.feedback.key, settings.model)
        self._exposition = exposition.Exposition(self.ledger, settings.model, self.process)
        self._champion = champion.slot if champion else None
        self._arms = {Arm.SOLO: self._arm(Arm.SOLO, own, None)}
        if champion:
            self._arms[Arm.SHADOW] = self._arm(Arm.SHADOW, champion, own)
            self._arms[Arm.CANARY] = self._arm(Arm.CANARY, own, champion)
        both = [each for each in (own, champion) if each]
        if len({bool(each.class_keys) for each in both}) > 1:
            raise errors.SettingsError(
                f"{own.slot.reference.life.version} and {both[-1].slot.reference.life.version} cannot be compared: one "
                "predicts numbers and one classes; give the other kind of model a ModelDeployment of its own"
            )
        self._exposition.describe([each.described for each in both])
        classes = dict.fromkeys(key for each in both for key in each.class_keys)
        self._desk = feedback.Desk(
            settings.feedback, self._signer, self.ledger, self.journal, list(classes), settings.grading
        )
        self._paired_at = time.monotonic()
        self._solo_is_used = False

    @classmethod
    async def load(cls, settings: Settings) -> Self:
        """Loads and tries every model of the settings. SentenceError when one cannot be loaded."""
        cache = Path(tempfile.gettempdir()) / "modelmend-artifacts"
        models = []
        for arm, wanted in ((Arm.SOLO, settings.own), (Arm.SHADOW, settings.champion)):
            if wanted is not None:
                slot = Slot(wanted, settings.trusted, cache)
                models.append(_remember(slot, await slot.load(settings.times.load), arm, settings))
        return cls(settings, models[0], models[1] if len(models) > 1 else None)

    def arm(self, arm: Arm) -> ArmService:
        """The service behind a port; Unavailable on the paired ports of a pod without a champion."""
        service = self._arms.get(arm)
        if service is None:
            raise Unavailable(
                f"this pod has no champion to compare with, so its {arm} port answers nothing: use the solo port "
                f"({PORTS[Arm.SOLO]})"
            )
        return service

    def used(self, arm: Arm) -> None:
        """Notes that a client asked on this arm, which decides when the champion may leave memory."""
        self._solo_is_used = arm is Arm.SOLO
        if arm is not Arm.SOLO:
            self._paired_at = time.monotonic()

    def release_idle_champion(self) -> None:
        """Unloads the champion after a promotion: requests come by the solo port, and none by a paired one for long.

        Silence alone is no sign of it. A candidate that waits for its approval gets no request at all, and the next
        one must not find its champion gone.
        """
        idle = time.monotonic() - self._paired_at
        if (
            self._champion
            and self._champion.is_ready
            and self._solo_is_used
            and idle > self._settings.times.champion_idle
        ):
            self._champion.unload()

    @property
    def is_live(self) -> bool:
        """Whether every model comes back from its calls."""
        return all(lane.stuck_seconds < _STUCK_SECONDS for lane in self._lanes())

    async def feedback(self, arm: Arm, body: bytes) -> list[feedback.Result]:
        """The result of each item. What carries no readable prediction id is counted for this pod's own version."""
        foreign = self.ledger.tally(self._settings.own.life, arm).labelled
        return await self._desk.accept(body, foreign)

    def metrics(self) -> bytes:
        """Prometheus' text."""
        return self._exposition.text()

    async def close(self, deadline: float) -> None:
        """Ends the lanes, then writes the log; both by `deadline` on the monotonic clock."""
        await asyncio.gather(*(lane.close(_left(deadline)) for lane in self._lanes()))
        await asyncio.to_thread(self.journal.close, _left(deadline))

    def _lanes(self) -> Sequence[Lane]:
        return [lane for service in self._arms.values() for lane in service.lanes]

    def _arm(self, arm: Arm, answers: _Loaded, beside: _Loaded | None) -> ArmService:
        limits = self._settings.limits
        served = answers.served(answers=True)
        counted = self.ledger.open_answering(answers.slot.reference.life, arm, served, self._settings.grading)
        answerer = Role(
            answers.slot,
            self._lane(
                arm, answers, answers, self._answered(answers, counted, served), limits.answer_seconds
            ),
            served,
            limits.answer_seconds,
        )
        mint = tokens.Mint(self._signer, arm, answers.speaker, beside.speaker if beside else None)
        if beside is None:
            return ArmService(arm, answers.face, mint, answerer, None)
        compared: tally.Served | None = None
        if arm is Arm.SHADOW:
            compared = beside.served(answers=False)
            self.ledger.open_candidate(beside.slot.reference.life, arm, compared)
        else:
            self.ledger.open_candidate(answers.slot.reference.life, arm)
        other = Role(
            beside.slot,
            self._lane(arm, beside, answers, self._scored(compared), limits.pair_seconds),
            compared,
            limits.answer_seconds,
        )
        service = ArmService(arm, answers.face, mint, answerer, other)
        service.missing = lambda slot: slot.reload(self._settings.times.load)
        return service

    def _lane(
        self, arm: Arm, model: _Loaded, rows: _Loaded, afterwards: Callable[[Batch], None], patience: float
    ) -> Lane:
        """A lane for `model`, fed with rows that were checked against the signature of `rows`."""
        return Lane(
            f"{arm}-{model.face.version}",
            rows.features,
            model.slot.require,
            afterwards,
            batching=self._settings.batching,
            patience=patience,
        )

    def _answered(
        self, model: _Loaded, counted: tally.Tally, served: tally.Served
    ) -> Callable[[Batch], None]:
        """What follows a batch of the model that answers: it is counted and logged."""
        logged = counted.logged
        assert logged is not None

        def follow(batch: Batch) -> None:
            if self._settings.monitoring:
                served.predicted(batch.scored, batch.columns)
            if self.journal.is_on:
                rows = Predictions(
                    version=model.face.version,
                    features=model.features,
                    columns=batch.columns,
                    identifiers=[job.identifier for job in batch.jobs],
                    times=[job.time for job in batch.jobs],
                    counts=[job.rows.count for job in batch.jobs],
                    answers=batch.scored.answers,
                    class_keys=model.class_keys,
                )
                self.journal.add_predictions(logged, rows)

        return follow

    def _scored(self, served: tally.Served | None) -> Callable[[Batch], None]:
        """What follows a batch of the model beside: it is counted if it is judged, and never logged."""

        def follow(batch: Batch) -> None:
            if served and self._settings.monitoring:
                served.predicted(batch.scored, batch.columns)

        return follow


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.1)
