"""What the operator shows of single models as its own metrics."""

from typing import Any

import pytest

from decide import worlds
from modelmend.api import status
from modelmend.evidence import quality
from modelmend.shell import figures

EXACT = quality.Figures(100, 0.95, 0.8, 0.99)


def shown(*signals: status.SignalStatus, **counted: quality.Figures) -> dict[tuple[str, str, str], float]:
    """Value by family, signal and verdict, of what is shown of a model with these signals."""
    owner = worlds.deployment(present=status.ModelDeploymentStatus(stable=worlds.stable(), signals=signals))
    made = figures.Figures()
    made.shows(owner, counted)
    return {
        (sample.name, sample.labels["type"], sample.labels.get("verdict", "")): sample.value
        for family in made.registry.collect()
        for sample in family.samples
        if "signal" in sample.labels and sample.value
    }


def signal(kind: str, verdict: str, **fields: Any) -> status.SignalStatus:
    """One signal as the status has it."""
    return status.SignalStatus(
        name="a",
        type=kind,
        verdict=verdict,
        since=worlds.NOW,
        because="x",
        **fields,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("kind", ["Accuracy", "Recall"])
def test_measure_of_labels_moves_with_every_label(kind: str) -> None:
    found = shown(signal(kind, "OK", value=0.9, n=10), a=EXACT)

    assert found == {
        ("modelmend_operator_signal_verdict", kind, "OK"): 1,
        ("modelmend_operator_signal_value", kind, ""): 0.95,
        ("modelmend_operator_signal_labels", kind, ""): 100,
    }


def test_drift_shows_what_its_last_window_said_and_never_the_accuracy() -> None:
    found = shown(signal("FeatureDrift", "Breached", value=1.25, n=5000), a=EXACT)

    assert found == {
        ("modelmend_operator_signal_verdict", "FeatureDrift", "Breached"): 1,
        ("modelmend_operator_signal_value", "FeatureDrift", ""): 1.25,
        ("modelmend_operator_signal_labels", "FeatureDrift", ""): 5000,
    }
    assert shown(signal("FeatureDrift", "Unknown"), a=EXACT) == {
        ("modelmend_operator_signal_verdict", "FeatureDrift", "Unknown"): 1
    }
