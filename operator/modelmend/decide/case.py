"""One model's case: what was observed, what the numbers say, and the facts that more than one finding asks for."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelmend.api.resources import ModelVersion
from modelmend.api.spec import ModelDeploymentSpec
from modelmend.api.status import Candidate, ModelDeploymentStatus, Phase, Stable, Stage
from modelmend.decide import judge, memory, terms
from modelmend.decide.observed import Observed, Server
from modelmend.decide.plan import Notify
from modelmend.decide.reasons import DIRECT
from modelmend.decide.upkeep import front, servers


@dataclass(frozen=True, slots=True)
class Finding:
    """What is the matter, in one sentence, and the status that answers it."""

    stage: Stage
    because: str
    status: ModelDeploymentStatus
    news: tuple[Notify, ...] = ()
    """Events beside those that every change of stage posts."""


@dataclass(frozen=True, slots=True)
class Case:
    """The world of one model, judged. `status` is the present one with everything noted that needs no decision."""

    observed: Observed
    status: ModelDeploymentStatus
    judgements: judge.Judgements

    @classmethod
    def of(cls, observed: Observed) -> "Case":
        """Judge and note."""
        judgements = judge.judge(observed)
        return cls(observed, memory.note(observed, judgements), judgements)

    def with_status(self, status: ModelDeploymentStatus) -> "Case":
        """The same case, with something more in its status."""
        return replace(self, status=status)

    @property
    def now(self) -> datetime:
        return self.observed.now

    @property
    def spec(self) -> ModelDeploymentSpec:
        return self.observed.deployment.spec

    @property
    def name(self) -> str:
        return self.observed.deployment.metadata.name

    @property
    def stage(self) -> Stage:
        """The stage shown now."""
        return self.status.stage or Stage.INSTALLING

    @property
    def stable(self) -> Stable:
        """The version that serves; ask only where there is one."""
        assert self.status.stable is not None
        return self.status.stable

    @property
    def candidate(self) -> Candidate:
        """The candidate; ask only where there is one."""
        assert self.status.candidate is not None
        return self.status.candidate

    @property
    def pinned(self) -> str | None:
        return self.spec.model.pin

    def in_phase(self, *phases: Phase) -> bool:
        """There is a candidate, in one of these phases."""
        return self.status.candidate is not None and self.status.candidate.phase in phases

    @property
    def candidate_is_direct(self) -> bool:
        """There is a candidate that needs no evidence: the first version, a pin, a rollback-to."""
        return self.status.candidate is not None and self.status.candidate.trigger in DIRECT

    @property
    def recorded(self) -> ModelVersion | None:
        """The candidate's ModelVersion, once it exists."""
        return self.observed.version(self.candidate.version)

    @property
    def candidate_server(self) -> Server | None:
        return self.observed.server(self.candidate.version)

    @property
    def candidate_is_ready(self) -> bool:
        """All the pods of its share are ready and of the present template."""
        needed = servers.share(self.candidate, self.spec)
        return front.is_up(self.candidate_server, needed)

    @property
    def front_is_in_place(self) -> bool:
        """The route sends traffic where the status wants it, and the Gateway says so; or the pods behind the Service do."""
        wanted = front.wanted(self.status, self.observed)
        in_place = wanted is not None and front.is_in_place(wanted, self.observed)
        return in_place and front.has_its_share(self.status, self.observed)

    @property
    def deadline(self) -> datetime:
        """End of the time for the whole rollout, from its first expected label."""
        delay = terms.label_delay(self.recorded) or terms.label_delay(
            self.observed.version(self.stable.version)
        )
        return self.candidate.started + timedelta(seconds=delay) + self.spec.rollout.analysis.deadline

    def command(self, annotation: str) -> str | None:
        """The value of a command's annotation while it was not acted on."""
        return memory.command(self.observed, self.status, annotation)
