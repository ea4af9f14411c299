"""What a breach of each type of signal means, in the words of conditions and Events.

Called by conditions and announce. Data drift is not concept drift: inputs may move and the model stay right, and it may
become wrong while nothing is seen to move. So each has words of its own, and whatever is proven is said together.

    meaning          what is proven                                            by
    harm             the model is wrong too often                              labels
    concept drift    the rule from inputs to outcome has moved                 labels beside the model's own scores
    estimate         by its own scores it is wrong too often                   scores
    label shift      classes have become more or less frequent                 predictions
    data drift       inputs, or the predictions that follow them, have moved   bins
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from modelmend.api.spec import SignalType
from modelmend.api.status import SignalStatus


@dataclass(frozen=True, slots=True)
class Meaning:
    """reason: of Healthy=False. began, ended: of Events. words: in a sentence about something else."""

    reason: str
    began: str
    ended: str
    words: str


HARM: Final = Meaning("Breached", "SignalBreached", "SignalRecovered", "harm")
CONCEPT_DRIFT: Final = Meaning("ConceptDrifted", "ConceptDriftDetected", "ConceptDriftEnded", "concept drift")
ESTIMATE: Final = Meaning(
    "EstimateBreached", "EstimateBreached", "EstimateRecovered", "a low estimated accuracy"
)
LABEL_SHIFT: Final = Meaning("LabelsShifted", "LabelShiftDetected", "LabelShiftEnded", "label shift")
DATA_DRIFT: Final = Meaning("Drifted", "DriftDetected", "DriftEnded", "data drift")

WORST_FIRST: Final = (HARM, CONCEPT_DRIFT, ESTIMATE, LABEL_SHIFT, DATA_DRIFT)
_MEANINGS: Final = {
    SignalType.CONCEPT_DRIFT: CONCEPT_DRIFT,
    SignalType.ESTIMATED_ACCURACY: ESTIMATE,
    SignalType.LABEL_SHIFT: LABEL_SHIFT,
    SignalType.FEATURE_DRIFT: DATA_DRIFT,
    SignalType.PREDICTION_DRIFT: DATA_DRIFT,
}


def of(kind: SignalType) -> Meaning:
    """Of a breach of that type."""
    return _MEANINGS.get(kind, HARM)


def rank(signal: SignalStatus) -> int:
    """0 for what is worst."""
    return WORST_FIRST.index(of(signal.type))


def told(breached: Sequence[SignalStatus]) -> str:
    """The sentence of the worst of one or more breaches, and what else is seen at the same time: a model that fails
    is another one where the rule has moved than where the inputs have."""
    worst = min(breached, key=rank)
    others = [
        f"{meaning.words} ({', '.join(signal.name for signal in breached if of(signal.type) is meaning)})"
        for meaning in WORST_FIRST
        if meaning is not of(worst.type) and any(of(signal.type) is meaning for signal in breached)
    ]
    return worst.because + (f"; also seen: {', '.join(others)}" if others else "")
