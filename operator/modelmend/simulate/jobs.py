"""Jobs, done on this machine: the real `resolve`, the real trainer and packer, on what is known at that moment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modelmend.api import fields, resources
from modelmend.api.status import Running
from modelmend.contract import result, storage
from modelmend.decide import plan
from modelmend.runtime import job, resolve, trainer
from modelmend.runtime.errors import SentenceError
from modelmend.simulate import journal
from modelmend.simulate.places import Places
from modelmend.simulate.table import Table

SPREAD: Final = 1_000_003
"""Between the seeds of two simulations, so that their Jobs' seeds, which the operator counts from 1, never meet."""


@dataclass(frozen=True)
class Workshop:
    """Does what a Job's pod does, and returns what it reports. All artifacts stay below `places`."""

    places: Places
    table: Table
    log: journal.PredictionLog
    folder: Path
    delay: float
    seed: int
    trusted: tuple[str, ...] = ()

    def resolve(self, action: plan.LaunchResolve) -> result.Succeeded | result.Failed:
        """Read the artifact that spec names."""
        task = job.Task(model="", version=action.version, data=job.Data(), trusted=self.trusted)
        origin = job.Origin(self.places.here(action.uri))
        return self._done(lambda: resolve.resolve(task, origin))

    def retrain(
        self, owner: resources.ModelDeployment, action: plan.LaunchRetraining, running: Running, now: float
    ) -> result.Succeeded | result.Failed:
        """Refit the champion on what is known now, and compare both."""
        assert action.champion is not None, "a simulation begins with a version that serves"
        task = job.Task(
            model=owner.metadata.name,
            version=action.version,
            data=self._data(owner, running, now),
            parent=job.Origin(self.places.here(action.champion.uri), action.champion.digest),
            output_uri=storage.join(
                self.places.storage_here, storage.STAGING, str(action.sequence), "simulated"
            ),
            storage_uri=self.places.storage_here,
            sequence=action.sequence,
            holdout=owner.spec.evaluation.holdout,
            seed=(action.sequence + SPREAD * self.seed) % 2**32,
            trusted=self.trusted,
        )
        return self._done(lambda: trainer.train(task))

    def _data(self, owner: resources.ModelDeployment, running: Running, now: float) -> job.Data:
        asked = tuple(part.asked for part in owner.spec.evaluation.slices)
        dataset = owner.spec.retraining.data.dataset
        if dataset is not None:
            uri = journal.write_dataset(self.folder, self.table, now, self.delay)
            return job.Data(
                uri,
                self.table.label,
                self.table.time_column,
                start=running.data_from,
                end=running.data_to,
                window=dataset.window,
                slices=asked,
            )
        self.log.write(now)
        return job.Data(
            log_uri=self.places.log_here, start=running.data_from, end=running.data_to, slices=asked
        )

    def _done(self, work: Any) -> result.Succeeded | result.Failed:
        try:
            made: result.Succeeded = work()
        except SentenceError as problem:
            return result.Failed(error=self.places.there(str(problem)))
        there = self.places.there
        return made.model_copy(
            update={"uri": there(made.uri), "warnings": tuple(there(each) for each in made.warnings)}
        )


def too_late(owner: resources.ModelDeployment) -> result.Failed:
    """What a Job that is killed at its deadline comes to."""
    deadline = fields.format_duration(owner.spec.retraining.trainer.deadline)
    return result.Failed(
        error=f"the Job exceeded its deadline of {deadline}: raise spec.retraining.trainer.deadline, or give it more CPU"
    )
