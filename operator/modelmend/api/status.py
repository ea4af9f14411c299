"""`status` of a ModelDeployment: the operator's only memory of what it decided.

Every timer and every counter of a decision stands here, so that an operator killed anywhere goes on, once.
Numbers that move with every label stand in the ModelVersion's checkpoint instead.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from modelmend.api.fields import MAP_BY_NAME, MAP_BY_TYPE, Digest, Instant, Lenient, VersionName
from modelmend.api.spec import SignalType
from modelmend.contract.arms import Arm


class Stage(StrEnum):
    """Where in its life a model is; shown to people, never decided from."""

    INSTALLING = "Installing"
    SERVING = "Serving"
    AWAITING_APPROVAL = "AwaitingApproval"
    RETRAINING = "Retraining"
    EVALUATING = "Evaluating"
    SHADOW = "Shadow"
    CANARY = "Canary"
    PROMOTING = "Promoting"
    ROLLING_BACK = "RollingBack"
    COOLING_DOWN = "CoolingDown"
    STALLED = "Stalled"
    SUSPENDED = "Suspended"


class Trigger(StrEnum):
    """Why something was begun."""

    INSTALL = "Install"
    FIRST = "First"
    """Nothing serves and spec names no artifact: the first version is trained."""
    BREACH = "Breach"
    SCHEDULE = "Schedule"
    REQUEST = "Request"
    """The annotation retrain-requested-at."""
    SPEC = "Spec"
    """A person changed spec.model.uri."""
    ROLLBACK_TO = "RollbackTo"
    PIN = "Pin"


class Phase(StrEnum):
    """How far a candidate has come; recorded before it is acted on."""

    EVALUATING = "Evaluating"
    """Its artifact is known; the offline gate is being computed."""
    SHADOW = "Shadow"
    CANARY = "Canary"
    AWAITING_APPROVAL = "AwaitingApproval"
    PROMOTING = "Promoting"
    """Being scaled to the champion's replicas, then given all traffic."""
    BAKING = "Baking"
    """It has all traffic and is the stable version; the old champion stays ready and compared."""
    ROLLING_BACK = "RollingBack"
    """Its traffic is going back to the champion, then its pods go."""


class Stable(Lenient):
    """The version that serves."""

    version: VersionName
    """Name of the ModelVersion."""
    digest: Digest
    """Its artifact."""
    uri: str
    """Where the artifact lies."""
    rollout: str
    """Which life of this version: counters of another life are not its own."""
    since: Instant
    """When it became stable."""
    evidence_since: Instant | None = None
    """Detectors were last restarted here: by a promotion, a rejection, or a reset. A breach is proven anew after it."""


class SplitEvidence(Lenient):
    """Labels of requests that were divided between champion and candidate, rounded to two significant digits above
    100."""

    candidate_labels: int = 0
    """Labels of the candidate's answers so far."""
    candidate_wrong: int = 0
    """Those among them that were wrong."""
    champion_labels: int = 0
    """Labels of the champion's answers over the same time."""
    champion_wrong: int = 0
    """Those among them that were wrong."""
    expected_labels: int | None = None
    """About how many labels of both a verdict needs, at the rates seen so far."""


class PairedEvidence(Lenient):
    """Labelled requests that champion and candidate both answered, rounded to two significant digits above 100."""

    pairs: int = 0
    """Labelled pairs so far."""
    candidate_only_wrong: int = 0
    """Pairs that only the candidate got wrong."""
    champion_only_wrong: int = 0
    """Pairs that only the champion got wrong."""
    expected_pairs: int | None = None
    """About how many pairs a verdict needs, at the rates seen so far."""
    split: SplitEvidence | None = None
    """In place of pairs with serving.template, where each request is answered by one of the two."""
    verdict: str = "Undecided"
    """Undecided, NotWorse, or Worse."""


class Candidate(Lenient):
    """The version that may become stable. There is never a second one."""

    version: VersionName
    """Name of the ModelVersion."""
    digest: Digest
    """Its artifact."""
    uri: str
    """Where the artifact lies."""
    rollout: str
    """Which life of this version."""
    phase: Phase
    """How far it has come."""
    trigger: Trigger
    """Why it exists."""
    arm: Arm = Arm.SHADOW
    """Which port its traffic goes to."""
    step: int = 0
    """Index of the canary step, from 0."""
    weight: int = 0
    """Percent of requests that reach its pods, as last ordered; without a gateway, as its ready pods make it."""
    since: Instant
    """When this phase or step began."""
    started: Instant
    """When the rollout began."""
    pairs_at_step: int = 0
    """Labelled pairs (with serving.template: labels of the candidate) when this step began; the step needs `minLabels`
    more."""
    champion: VersionName | None = None
    """The version it is compared with: during bake, the one that may return."""
    champion_rollout: str | None = None
    """The champion's life it is compared with."""
    unready_since: Instant | None = None
    """Since when its pods have not been ready although they should be."""
    failure: str | None = None
    """Why it is being rolled back."""
    reason: str | None = None
    """The same in one CamelCase word, e.g. Worse, GuardBreached, Unready, Deadline, Aborted or Superseded."""
    evidence: PairedEvidence = PairedEvidence()
    """The comparison with the champion, rounded."""


class Verdict(StrEnum):
    """What the numbers say. Unknown is a verdict: it never promotes, never retrains, never counts as healthy."""

    OK = "OK"
    BREACHED = "Breached"
    UNKNOWN = "Unknown"


class ClassShare(Lenient):
    """How frequent a class was among the labels, and is now."""

    name: Annotated[str, Field(max_length=100)]
    """The class, as feedback names it."""
    before: float
    """Its share of the holdout's labels, rounded to three digits."""
    now: float
    """Its share in the last window, as the predictions tell it: no label was needed."""


class SignalStatus(Lenient):
    """The last verdict of one signal."""

    name: str
    """Name of the signal."""
    type: SignalType = SignalType.ACCURACY
    """What it watches: a breach of Accuracy is harm; drift and LabelShift say that the world moved, not that the model
    fails; ConceptDrift, that what the model has learnt no longer holds."""
    verdict: Verdict
    """OK, Breached or Unknown."""
    value: float | None = None
    """Observed over the signal's window, rounded to three digits. Of drift, the population stability index of the
    feature nearest to, or farthest beyond, what would be drift. Of LabelShift, the change of the class that moved most.
    Of ConceptDrift, the accuracy less its estimate."""
    bound: float | None = None
    """The limit it is judged by; of LabelShift in either direction, of ConceptDrift a negative number."""
    n: int = 0
    """Labels behind the value, or rows where no label is needed, rounded to two significant digits above 100."""
    drifted: Annotated[tuple[str, ...], Field(max_length=20)] = ()
    """Features that drifted in the last window, the worst first, at most 20; on average, at most a share window /
    falseAlarmEvery of them did not (Benjamini-Hochberg)."""
    shares: Annotated[tuple[ClassShare, ...], Field(max_length=20)] = ()
    """LabelShift: each class before and now."""
    since: Instant
    """Since when this verdict has held."""
    because: str
    """One sentence."""
    guarantee: str | None = None
    """What the verdict promises, and under which condition."""
    warning: str | None = None
    """What the stated guarantee lacks: errors come in bursts, for instance."""


class Share(Lenient):
    """A share of traffic that a rollout asks for, and the nearest that numbers of pods allow."""

    wanted: int
    """Percent, as spec.rollout says."""
    reached: int
    """Percent, as the pods allow."""
    champion_pods: int
    """Pods of the champion that answer beside the candidate's."""
    candidate_pods: int
    """Pods of the candidate."""


class Split(Lenient):
    """How traffic is split without a gateway: by numbers of pods behind one Service, so by connections."""

    shares: Annotated[tuple[Share, ...], Field(max_length=32)] = ()
    """What shadow and each canary step ask for, and what they get."""
    warning: str | None = None
    """What is far from what was asked for, and the remedy."""


class PendingApproval(Lenient):
    """What a person is asked to approve."""

    token: str
    """Write this as the annotation modelmend.dev/approve: a digest, or retrain-N."""
    trigger: Trigger
    """What asked for it."""
    since: Instant
    """Since when it waits."""
    because: str
    """Why it was asked for."""


class Resolving(Lenient):
    """The Job that reads an artifact a person named."""

    sequence: int
    """Number of the Job; never used twice."""
    job: str
    """Name of the Job."""
    uri: str
    """The artifact."""
    trigger: Trigger
    """Install or Spec."""
    started_at: Instant
    """When it was ordered."""
    uid: str | None = None
    """Of the Job, once it was seen: a Job that was seen and is gone was deleted by somebody."""


class Running(Lenient):
    """The one retraining Job in flight."""

    sequence: int
    """Number of the Job; never used twice."""
    job: str
    """Name of the Job."""
    trigger: Trigger
    """Why it was started."""
    because: str
    """The sentence of the trigger."""
    started_at: Instant
    """When it was ordered."""
    data_from: Instant | None = None
    """Start of the data window."""
    data_to: Instant | None = None
    """End of the data window."""
    uid: str | None = None
    """Of the Job, once it was seen: a Job that was seen and is gone was deleted by somebody."""


class RetrainingStatus(Lenient):
    """Healing: what runs, what waits, what was spent."""

    running: Running | None = None
    """The Job in flight."""
    pending: PendingApproval | None = None
    """A retraining that waits for a person."""
    cooldown_until: Instant | None = None
    """No healing before this moment."""
    cooldown_because: str | None = None
    """Why it cools down."""
    attempts: Annotated[tuple[Instant, ...], Field(max_length=100)] = ()
    """Failures within the budget's window."""
    failures: int = 0
    """Failures in a row, for the back-off; 0 after a success."""
    scheduled: Instant | None = None
    """The schedule has been acted on up to this moment."""
    schedule: str | None = None
    """The cron line that `scheduled` belongs to."""
    unreferenced: Annotated[tuple[Digest, ...], Field(max_length=100)] = ()
    """Artifacts below storage whose ModelVersion was pruned: the next retraining deletes them."""


class Refusal(Lenient):
    """What a person asked for and did not get; stands until spec (or the refused annotation) changes."""

    generation: int
    """The generation that was refused."""
    reason: str
    """CamelCase reason, e.g. RolloutRejected or InvalidArtifact."""
    message: str
    """One sentence."""
    token: str | None = None
    """Value of the annotation that was refused; missing when spec was."""


class Handled(Lenient):
    """The last command of each kind that was acted on, by its token."""

    spec: str | None = None
    """Hash of the spec that was last seen, without what an autoscaler writes: tells a person's edit from a scaling."""
    uri: str | None = None
    """The spec.model.uri that was last acted on."""
    uri_because: str | None = None
    """Why nothing was started for it, where nothing was."""
    pin: str | None = None
    """The spec.model.pin that was last acted on."""
    retrain: str | None = None
    """Token of modelmend.dev/retrain-requested-at."""
    approve: str | None = None
    """Token of modelmend.dev/approve."""
    abort: str | None = None
    """Token of modelmend.dev/abort."""
    rollback_to: str | None = None
    """Token of modelmend.dev/rollback-to."""
    reset: str | None = None
    """Token of modelmend.dev/reset."""


class ConditionStatus(StrEnum):
    """Kubernetes' three-valued truth."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Lenient):
    """One kstatus condition."""

    type: Literal["Ready", "Reconciling", "Stalled", "Healthy", "Progressing"]
    """Name of the condition."""
    status: ConditionStatus
    """True, False or Unknown."""
    reason: str
    """CamelCase reason."""
    message: Annotated[str, Field(max_length=32768)]
    """One sentence."""
    observed_generation: int
    """The generation this was said about."""
    last_transition_time: Instant
    """When the status last changed."""


class ModelDeploymentStatus(Lenient):
    """What Modelmend has seen and decided."""

    observed_generation: int = 0
    """The generation of spec that this status answers."""
    stage: Stage | None = None
    """Where in its life the model is."""
    because: str | None = None
    """Why it is in this stage: metric, observed value, bound, number of labels."""
    sequence: int = 0
    """The last number given to a Job or a rollout; it only grows."""
    last_version: int = 0
    """The number in the name of the newest ModelVersion."""
    stable: Stable | None = None
    """The version that serves."""
    replicas: int | None = None
    """Ready pods of the champion."""
    selector: str | None = None
    """Label selector of the champion's pods, for the scale subresource."""
    url: str | None = None
    """Where the model answers; nothing when every host name is a wildcard."""
    split: Split | None = None
    """How traffic is split where there is no gateway."""
    resolving: Resolving | None = None
    """The Job that reads an artifact."""
    candidate: Candidate | None = None
    """The version that may become stable."""
    signals: Annotated[tuple[SignalStatus, ...], Field(json_schema_extra=MAP_BY_NAME)] = ()
    """The last verdict of each signal."""
    retraining: RetrainingStatus = RetrainingStatus()
    """Healing."""
    rejected: Annotated[tuple[Digest, ...], Field(max_length=100)] = ()
    """Artifacts that were rejected or rolled back; none returns by itself."""
    stalled: str | None = None
    """Why a person is needed; a spec change or a reset clears it."""
    refusal: Refusal | None = None
    """What a person asked for and did not get."""
    handled: Handled = Handled()
    """Commands already acted on."""
    conditions: Annotated[tuple[Condition, ...], Field(json_schema_extra=MAP_BY_TYPE)] = ()
    """Ready, Healthy, Progressing, and Reconciling or Stalled while they hold."""
