"""The gate on the holdout."""

import pytest

from modelmend.evidence import offline
from modelmend.evidence.paired import Paired


def test_a_better_candidate_passes_with_the_score_on_the_holdout() -> None:
    gate = offline.better(Paired(21, 57, 926), alpha=0.05)

    assert gate.passed
    assert gate.because == (
        "the candidate is better than the champion: "
        "right alone 57 against 21 times on the holdout of 1,004 (alpha 0.05)"
    )


def test_a_candidate_that_is_only_as_good_fails_the_gate_for_better() -> None:
    gate = offline.better(Paired(40, 44, 920), alpha=0.05)

    assert not gate.passed
    assert gate.because == (
        "the candidate is not proven better than the champion: "
        "right alone 44 against 40 times on the holdout of 1,004 (alpha 0.05)"
    )


def test_a_candidate_that_is_as_good_passes_the_gate_for_not_worse() -> None:
    gate = offline.not_worse(Paired(31, 30, 1500), margin=0.02, alpha=0.05)

    assert gate.passed
    assert "is not worse than the champion by 0.02 or more: right alone 30 against 31 times" in gate.because


def test_a_worse_candidate_fails_both_gates() -> None:
    pairs = Paired(57, 21, 926)

    assert not offline.better(pairs, 0.05).passed
    assert not offline.not_worse(pairs, 0.01, 0.05).passed


@pytest.mark.parametrize(
    "gate", [offline.better(Paired(0, 0, 0), 0.05), offline.not_worse(Paired(0, 0, 0), 0.02, 0.05)]
)
def test_an_empty_holdout_passes_nothing(gate: offline.Gate) -> None:
    assert gate == offline.Gate(False, "the holdout is empty: nothing was compared")


def test_the_first_version_is_compared_with_a_constant_answer() -> None:
    good, poor = (
        offline.first(pairs, "the most frequent class", 0.05)
        for pairs in (Paired(30, 200, 770), Paired(30, 34, 936))
    )

    assert good == offline.Gate(
        True,
        "the candidate is better than always answering the most frequent class: right alone 200 against 30 times on the "
        "holdout of 1,000 (alpha 0.05)",
    )
    assert not poor.passed
    assert poor.because.endswith("; give spec.retraining.data.dataset columns that tell more, or more rows")
    assert (
        offline.first(Paired(0, 0, 0), "the mean", 0.05).because
        == "the holdout is empty: nothing was compared"
    )
