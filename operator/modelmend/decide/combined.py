"""What the signals that heal say together: `retraining.when`.

Called by healing, which acts on it, and by advise, which explains it. Each signal alerts by itself, whatever the
others say: a breach that heals nothing, since another signal is fine, still makes the model unhealthy.
"""

from collections.abc import Sequence

from modelmend.api.spec import ModelDeploymentSpec, SignalAction, When
from modelmend.api.status import SignalStatus, Verdict
from modelmend.decide import sentences
from modelmend.evidence import combine, verdict


def healed(spec: ModelDeploymentSpec, signals: Sequence[SignalStatus]) -> tuple[SignalStatus, ...]:
    """Those whose breach heals, by themselves or together with others."""
    wanted = {signal.name for signal in spec.monitoring.signals if signal.action is SignalAction.RETRAIN}
    return tuple(signal for signal in signals if signal.name in wanted)


def breach(spec: ModelDeploymentSpec, signals: Sequence[SignalStatus]) -> str | None:
    """Why to heal, in one sentence; None while there is no reason."""
    found = _combined(spec, signals)
    return found.because if found.verdict is verdict.Verdict.BREACHED else None


def is_over(spec: ModelDeploymentSpec, signals: Sequence[SignalStatus]) -> bool:
    """Whether a breach that once was is surely none any more."""
    return not healed(spec, signals) or _combined(spec, signals).verdict is verdict.Verdict.OK


def held_back(spec: ModelDeploymentSpec, signals: Sequence[SignalStatus]) -> str | None:
    """Why a breach does not heal, where it is another signal that keeps it from that. It holds verdicts alone, so
    that it changes only when they do."""
    wanted = healed(spec, signals)
    others = tuple(signal for signal in wanted if signal.verdict is not Verdict.BREACHED)
    if spec.retraining.when is When.ANY or not others or len(others) == len(wanted):
        return None
    said = sentences.listed(tuple(f"{signal.name} is {signal.verdict.value}" for signal in others))
    return f"nothing is retrained, since retraining.when is All and {said}"


def _combined(spec: ModelDeploymentSpec, signals: Sequence[SignalStatus]) -> combine.Combined:
    named = [
        combine.Named(
            signal.name,
            verdict.Judgement(
                verdict.Verdict(signal.verdict.value), signal.value, signal.bound, signal.n, signal.because
            ),
        )
        for signal in healed(spec, signals)
    ]
    return combine.combine(combine.When(spec.retraining.when.value), named)
