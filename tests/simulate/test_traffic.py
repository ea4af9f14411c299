"""Who answers, and what the counters of each life say, as a real server counts them."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from modelmend.contract import arms, metrics
from modelmend.evidence import confusion, ledger
from modelmend.simulate import traffic
from modelmend.simulate.models import Models
from modelmend.simulate.replayed import Requests
from modelmend.simulate.traffic import Route, Side

OWNER = ("ml", "late")
CHAMPION, CANDIDATE = Side("v1", "life-1"), Side("v2", "life-2")
N = 400


def requests(labelled: int = N) -> Requests:
    """One request a second; every label is class 1 and comes after 100 s."""
    labels = np.where(np.arange(N) < labelled, 1, -1).astype(np.int16)
    return Requests({}, np.arange(N, dtype=np.float64), labels, ("0", "1"), 100.0)


def flow(found: Requests, **answers: Any) -> traffic.Traffic:
    """Models that answer what is given: the champion is always right, the candidate on even rows."""
    codes = {"v1": np.ones(N, np.int16), "v2": (np.arange(N) % 2 == 0).astype(np.int16)} | answers
    models = SimpleNamespace(codes=lambda version, begin, end: codes[version][begin:end])
    return traffic.Traffic(found, cast("Models", models), seed=0)


def counted(found: traffic.Traffic, at: float, side: Side) -> dict[str, float]:
    answer = found.poll(at, OWNER, [CHAMPION.rollout, CANDIDATE.rollout], 0.2)
    counters = answer.counters[*OWNER, side.rollout][traffic.PROCESS]
    assert answer.buckets[0.2][*OWNER, side.rollout][traffic.PROCESS] == counters[ledger.ANSWERED]
    return {key: value for key, value in counters.items() if value and key != ledger.TIMED}


def test_labels_count_after_their_delay_and_requests_at_once() -> None:
    found = flow(requests())
    found.route(0.0, Route(CHAMPION))

    assert counted(found, 49.0, CHAMPION) == {ledger.ANSWERED: 50}
    assert counted(found, 149.0, CHAMPION) == {ledger.ANSWERED: 150, metrics.Evidence.RIGHT: 50}
    assert found.next_label() == 150.0
    assert found.next_request() == 150.0


def test_labels_by_class_are_those_of_the_answers_that_were_given() -> None:
    found = flow(requests())
    found.route(0.0, Route(CHAMPION, CANDIDATE, CHAMPION, arms.Arm.CANARY, 0.5))
    answer = found.poll(1000.0, OWNER, [CHAMPION.rollout, CANDIDATE.rollout, "nobody"], None, by_class=True)
    champion, candidate = (
        answer.counters[*OWNER, side.rollout][traffic.PROCESS] for side in (CHAMPION, CANDIDATE)
    )
    right, wrong = confusion.result_name("1", "1"), confusion.result_name("0", "1")

    assert champion[right] == champion[metrics.Evidence.RIGHT]
    assert candidate[right] == candidate[metrics.Evidence.RIGHT] > 0
    assert candidate[wrong] == candidate[metrics.Evidence.WRONG] > 0
    assert not [
        name for name in answer.counters[*OWNER, "nobody"][traffic.PROCESS] if confusion.is_cell(name)
    ]


def test_more_classes_than_a_server_counts_apart_are_not_counted_apart() -> None:
    many = Requests({}, np.arange(9.0), np.ones(9, np.int16), tuple(str(n) for n in range(51)), 0.0)
    found = flow(many)
    found.route(0.0, Route(CHAMPION))
    answer = found.poll(1000.0, OWNER, [CHAMPION.rollout], None, by_class=True)

    results = answer.counters[*OWNER, CHAMPION.rollout][traffic.PROCESS]
    assert results[metrics.Evidence.RIGHT] == 9
    assert not [name for name in results if confusion.is_cell(name)]


def test_request_before_any_route_is_not_answered() -> None:
    found = flow(requests())
    found.route(10.0, Route(CHAMPION))

    assert counted(found, 19.0, CHAMPION) == {ledger.ANSWERED: 10}
    assert (found.answered[:10] == traffic.NOBODY).all()


def test_shadow_answers_with_the_champion_and_counts_pairs_of_the_candidate() -> None:
    found = flow(requests())
    found.route(0.0, Route(CHAMPION, CANDIDATE, CHAMPION, arms.Arm.SHADOW, 0.25))
    champion, candidate = counted(found, 1000.0, CHAMPION), counted(found, 1000.0, CANDIDATE)
    pairs = candidate[ledger.ANSWERED]

    assert champion == {ledger.ANSWERED: N, metrics.Evidence.RIGHT: N}
    assert pairs == pytest.approx(N / 4, abs=30)
    assert candidate[metrics.Paired.BOTH_RIGHT] + candidate[metrics.Paired.CANDIDATE_ONLY_WRONG] == pairs
    assert metrics.Evidence.RIGHT not in candidate
    assert (found.answered == 1).all()


def test_canary_answers_with_the_candidate_and_counts_for_it_alone() -> None:
    found = flow(requests())
    found.route(0.0, Route(CHAMPION, CANDIDATE, CHAMPION, arms.Arm.CANARY, 0.5))
    champion, candidate = counted(found, 1000.0, CHAMPION), counted(found, 1000.0, CANDIDATE)

    assert champion[ledger.ANSWERED] + candidate[ledger.ANSWERED] == N
    assert candidate[metrics.Evidence.WRONG] == candidate[metrics.Paired.CANDIDATE_ONLY_WRONG]
    assert (found.answered == 0).sum() == candidate[metrics.Evidence.WRONG]


def test_labels_of_a_route_that_is_gone_count_for_who_answered() -> None:
    found = flow(requests())
    found.route(0.0, Route(CHAMPION))
    counted(found, 199.0, CHAMPION)
    found.route(200.0, Route(CANDIDATE))

    assert counted(found, 1000.0, CHAMPION)[metrics.Evidence.RIGHT] == 200
    assert counted(found, 1000.0, CANDIDATE) == {
        ledger.ANSWERED: 200,
        metrics.Evidence.RIGHT: 100,
        metrics.Evidence.WRONG: 100,
    }


def test_request_without_label_is_answered_and_proves_nothing() -> None:
    found = flow(requests(labelled=100))
    found.route(0.0, Route(CHAMPION))

    assert counted(found, 1000.0, CHAMPION) == {ledger.ANSWERED: N, metrics.Evidence.RIGHT: 100}
    assert found.next_label() is None
    assert found.last_label() == 199.0
