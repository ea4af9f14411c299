"""Precision, recall, f1 and balanced accuracy: each a share of bad rows, with the detector's guarantee and one
sentence."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as scikit

from evidence import reference
from modelmend.evidence import bounds, confusion, counts, detector, family, verdict, voting
from modelmend.evidence.confusion import Confusion
from modelmend.evidence.family import Labels, Metric, Signal

TALKING = verdict.Silence(lasted=30, tolerated=3600)
SILENT = verdict.Silence(lasted=7 * 3600, tolerated=3600)
YES_NO = ("no", "yes")
ALARM = 86_400.0

cells = st.dictionaries(
    st.tuples(st.sampled_from(["no", "yes"]), st.sampled_from(["no", "yes"])), st.integers(0, 3000)
)
tables = st.builds(Confusion, cells)


def table(tp: int = 0, fp: int = 0, fn: int = 0, tn: int = 0) -> Confusion:
    return Confusion({("yes", "yes"): tp, ("yes", "no"): fp, ("no", "yes"): fn, ("no", "no"): tn})


def signal(metric: Metric, minimum: float = 0.8, min_labels: int = 100, **more: object) -> Signal:
    return Signal(metric, minimum, min_labels, ALARM, **({"classes": YES_NO} | more))  # type: ignore[arg-type]


def after(asked: Signal, *polls: Confusion, every: float = 30.0) -> voting.State:
    state = voting.State()
    for number, new in enumerate(polls):
        state = family.step(asked, state, new, number * every)
    return state


def said(asked: Signal, *polls: Confusion, silence: verdict.Silence = TALKING) -> verdict.Judgement:
    shown = sum(polls, Confusion())
    return family.judge(asked, after(asked, *polls), Labels(shown, silence))


@settings(max_examples=20)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=40, max_size=120))
def test_every_measure_equals_scikit_learns(rows: list[tuple[str, str]]) -> None:
    rows += [("a", "a"), ("b", "b"), ("c", "c")]
    counted = sum((Confusion({row: 1}) for row in rows), Confusion())
    predicted, actual = zip(*rows, strict=True)

    precision, recall, f1, _ = scikit.precision_recall_fscore_support(
        actual, predicted, labels=["b"], zero_division=0
    )

    assert 1 - confusion.wrong(counted).share == pytest.approx(scikit.accuracy_score(actual, predicted))
    assert 1 - confusion.false_positives(counted, "b").share == pytest.approx(precision[0])
    assert 1 - confusion.false_negatives(counted, "b").share == pytest.approx(recall[0])
    assert confusion.f1(confusion.missed_overlap(counted, "b").share) == pytest.approx(f1[0])
    assert 1 - voting.pooled(confusion.misses(counted, ("a", "b", "c"))).share == pytest.approx(
        scikit.balanced_accuracy_score(actual, predicted)
    )


@settings(max_examples=40)
@given(tables, tables)
def test_tables_add_over_pods_and_time(one: Confusion, other: Confusion) -> None:
    both = one + other

    assert both.n == one.n + other.n
    for count in (confusion.false_positives, confusion.false_negatives, confusion.missed_overlap):
        assert count(both, "yes") == count(one, "yes") + count(other, "yes")


@settings(max_examples=40)
@given(st.text(), st.text())
def test_a_class_may_be_called_anything_in_the_counters(predicted: str, actual: str) -> None:
    results = {confusion.result_name(predicted, actual): 7, "right": 3}

    assert Confusion.from_results(results) == Confusion({(predicted, actual): 7})


@settings(max_examples=40)
@given(
    st.dictionaries(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), st.integers(0, 99)),
    st.lists(st.tuples(st.sampled_from(Metric), st.sampled_from("abcd")), max_size=3),
)
def test_a_narrow_table_says_the_same_to_the_signals_that_it_was_made_for(
    cells: dict[tuple[str, str], int], wanted: list[tuple[Metric, str]]
) -> None:
    signals = [signal(metric, classes=("a", "b", "c", "d"), positive_class=each) for metric, each in wanted]
    wide = Confusion(cells)

    narrow = family.narrowed(signals, wide)

    assert confusion.wrong(narrow) == confusion.wrong(wide)
    for each in signals:
        assert family.step(each, voting.State(), narrow, 0) == family.step(each, voting.State(), wide, 0)


def test_a_narrow_table_of_thirty_classes_is_small() -> None:
    names = [str(number) for number in range(30)]
    wide = Confusion({(said, true): 1 for said in names for true in names})
    one = signal(Metric.RECALL, classes=tuple(names), positive_class="7")
    all_ = signal(Metric.BALANCED_ACCURACY, classes=tuple(names))

    assert len(family.narrowed([one], wide).cells) == 5
    assert len(family.narrowed([all_], wide).cells) == 60
    assert len(family.narrowed([signal(Metric.F1, classes=tuple(names))], wide).cells) == 2


def test_negative_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        Confusion({("a", "b"): -1})


@settings(max_examples=40)
@given(st.floats(0, 1))
def test_the_limit_of_f1_is_a_limit_on_the_rows_that_vote(minimum: float) -> None:
    assert confusion.f1(confusion.share_of_f1(minimum)) == pytest.approx(minimum)


@pytest.mark.parametrize("minimum", [0.4, 0.8, 0.97])
def test_the_factors_of_f1_are_those_of_the_documentation(minimum: float) -> None:
    """1 + L (1 - th) for a false positive or negative, 1 - 2 L th for a true positive, with L < 1 / (2 th)."""
    limit, th = signal(Metric.F1, minimum).limit, 1 - minimum
    for stake in detector.STAKES:
        bet = stake / max(limit.share, 0.5)
        scaled = bet / (1 + th)
        assert 1 + bet * (1 - limit.share) == pytest.approx(1 + scaled * (1 - th))
        assert 1 - bet * limit.share == pytest.approx(1 - 2 * scaled * th)
        assert scaled < 1 / (2 * th)


@pytest.mark.parametrize("minimum", [0.4, 0.8])
@pytest.mark.parametrize("rates", [(0.5, 0.3), (0.2, 0.05), (0.05, 0.02)])
def test_at_its_limit_f1_adds_exactly_one_a_poll_on_average(
    minimum: float, rates: tuple[float, float]
) -> None:
    """Over every possible poll of 6 rows, true positives and false ones at rates with this very f1, true negatives
    the rest."""
    asked = signal(Metric.F1, minimum)
    positives = rates[0]
    errors = 2 * positives * (1 - minimum) / minimum  # 2 TP / (2 TP + E) = minimum
    scale = min(1.0, 0.95 / (positives + errors))
    probabilities = [positives * scale, errors * scale * 0.3, errors * scale * 0.7]
    probabilities.append(1 - sum(probabilities))
    before = after(asked, table(5, 2, 1, 7))

    mean = 0.0
    for tp, fp, fn in itertools.product(range(7), repeat=3):
        if (tn := 6 - tp - fp - fn) >= 0:
            chance = float(stats.multinomial.pmf([tp, fp, fn, tn], 6, probabilities))
            mean += chance * family.step(asked, before, table(tp, fp, fn, tn), 60).detected.level

    silent = probabilities[3] ** 6  # a poll without a row that votes adds nothing
    assert mean == pytest.approx(before.detected.level + 1 - silent, rel=1e-6)


@pytest.mark.parametrize("recalls", [(0.7, 0.9), (0.8, 0.8), (1.0, 0.6)])
def test_at_its_limit_balanced_accuracy_adds_exactly_one_a_poll_on_average(
    recalls: tuple[float, float],
) -> None:
    """Over every possible poll, however its classes are divided and whichever of them is the bad one."""
    asked = signal(Metric.BALANCED_ACCURACY)
    before = after(asked, table(5, 2, 1, 7))

    for yes, no in [(1, 1), (2, 9), (6, 3)]:
        mean = sum(
            float(stats.binom.pmf(tp, yes, recalls[0]) * stats.binom.pmf(tn, no, recalls[1]))
            * family.step(asked, before, table(tp, no - tn, yes - tp, tn), 60).detected.level
            for tp in range(yes + 1)
            for tn in range(no + 1)
        )
        assert mean == pytest.approx(before.detected.level + 1, rel=1e-9)


@pytest.mark.parametrize(
    ("metric", "polls", "sentence"),
    [
        (
            Metric.ACCURACY,
            [table(10, 2, 6, 12)] * 40,
            "accuracy 0.733 over 1,200 labels is below the limit 0.800 (99.9% sure at most 0.789)",
        ),
        (
            Metric.PRECISION,
            [table(12, 8, 0, 10)] * 30,
            "precision of yes 0.600 over 600 rows predicted yes is below the limit 0.800 (99.9% sure at most 0.686)",
        ),
        (
            Metric.RECALL,
            [table(12, 0, 8, 10)] * 30,
            "recall of yes 0.600 over 600 rows that are yes is below the limit 0.800 (99.9% sure at most 0.686)",
        ),
        (
            Metric.F1,
            [table(12, 8, 8, 10)] * 30,
            "f1 of yes 0.600 over 840 rows that are or were predicted yes is below the limit 0.800 "
            "(99.9% sure at most 0.672)",
        ),
        (
            Metric.BALANCED_ACCURACY,
            [table(5, 10, 5, 190)] * 60,
            "balancedAccuracy 0.725 over 12,600 labels is below the limit 0.800 (99.9% sure at most 0.776)",
        ),
    ],
)
def test_each_measure_breaches_with_its_own_words(
    metric: Metric, polls: list[Confusion], sentence: str
) -> None:
    judgement = said(signal(metric), *polls)

    assert judgement.verdict is verdict.Verdict.BREACHED
    assert judgement.because == sentence


@pytest.mark.parametrize("metric", list(Metric))
def test_each_measure_is_ok_within_its_limit_and_unknown_in_silence(metric: Metric) -> None:
    polls = [table(9, 1, 1, 20)] * 40

    assert said(signal(metric), *polls).verdict is verdict.Verdict.OK
    assert "within the limit 0.800" in said(signal(metric), *polls).because
    assert said(signal(metric), *polls, silence=SILENT).verdict is verdict.Verdict.UNKNOWN


def test_a_fall_that_a_long_window_hides_is_shown_by_its_run() -> None:
    judgement = said(signal(Metric.RECALL), *[table(19, 0, 1, 10)] * 200, *[table(10, 0, 10, 10)] * 6)

    assert judgement.because == (
        "recall of yes 0.937 over 4,120 rows that are yes, but 0.500 over the 120 since it began to fall: "
        "below the limit 0.800 by evidence that comes by chance at most once in 86,400 polls with rows that are yes"
    )


@pytest.mark.parametrize(
    ("metric", "labels", "sentence"),
    [
        (
            Metric.PRECISION,
            table(2, 1, 40, 900),
            "too few rows predicted yes for a verdict: 3 of 100 needed (among 943 labels)",
        ),
        (
            Metric.RECALL,
            table(0, 10, 0, 990),
            "too few rows that are yes for a verdict: 0 of 100 needed (among 1,000 labels)",
        ),
        (
            Metric.F1,
            table(0, 0, 0, 1000),
            "too few rows that are or were predicted yes for a verdict: 0 of 100 needed (among 1,000 labels)",
        ),
        (
            Metric.BALANCED_ACCURACY,
            table(0, 10, 0, 990),
            "too few labels for a verdict: 0 of 100 needed (no label of yes among 1,000)",
        ),
        (Metric.RECALL, table(), "too few rows that are yes for a verdict: 0 of 100 needed"),
    ],
)
def test_one_class_only_or_none_is_unknown_with_the_reason(
    metric: Metric, labels: Confusion, sentence: str
) -> None:
    judgement = said(signal(metric), labels)

    assert judgement.verdict is verdict.Verdict.UNKNOWN
    assert judgement.because == sentence


def test_a_window_that_lost_a_class_is_unknown_and_says_which() -> None:
    asked = signal(Metric.BALANCED_ACCURACY)
    state = after(asked, *[table(9, 1, 1, 20)] * 40)

    judgement = family.judge(asked, state, Labels(table(0, 1, 0, 300), TALKING))

    assert judgement.verdict is verdict.Verdict.UNKNOWN
    assert judgement.because == "balancedAccuracy unknown of late: no label of yes among 301"


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (
            signal(Metric.F1, classes=("a", "b", "c")),
            "f1 of 3 classes is not one number: name positiveClass (one of a, b, c), "
            "or watch balancedAccuracy, the mean recall of all",
        ),
        (
            signal(Metric.PRECISION, positive_class="maybe"),
            "precision: positiveClass maybe is not one of the model's classes no, yes",
        ),
        (
            signal(Metric.RECALL, classes=()),
            "recall needs the classes of the model, and 0 are on record for this version: none are of more than 50 "
            "classes, or where an older Modelmend made the record; the next version's is complete",
        ),
        (
            signal(Metric.BALANCED_ACCURACY, classes=("a",)),
            "balancedAccuracy needs the classes of the model, and 1 are on record for this version: none are of more than 50 "
            "classes, or where an older Modelmend made the record; the next version's is complete",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused_with_a_remedy(asked: Signal, sentence: str) -> None:
    assert family.refusal(asked) == sentence
    assert after(asked, table(1, 2, 3, 4)) == voting.State()
    assert said(asked, table(1, 2, 3, 4)) == verdict.unknown(sentence)
    seen = Labels(table(1, 2, 3, 4), TALKING)
    assert family.judge_by_threshold(asked, seen) == verdict.unknown(sentence)


def test_one_class_of_many_is_judged_against_the_rest() -> None:
    asked = signal(Metric.RECALL, classes=("a", "b", "c"), positive_class="b")
    poll = Confusion({("b", "b"): 6, ("a", "b"): 2, ("c", "b"): 2, ("a", "a"): 50, ("b", "c"): 9})

    judgement = said(asked, *[poll] * 80)

    assert judgement.verdict is verdict.Verdict.BREACHED
    assert judgement.value == pytest.approx(0.6)


def test_the_bound_of_balanced_accuracy_is_the_mean_of_its_classes_bounds() -> None:
    judgement = said(signal(Metric.BALANCED_ACCURACY), *[table(5, 10, 5, 190)] * 60)

    yes = bounds.anytime(counts.Tally(600, 300), bounds.SURE / 2)
    no = bounds.anytime(counts.Tally(12_000, 600), bounds.SURE / 2)
    assert judgement.bound == pytest.approx(1 - (yes[0] + no[0]) / 2)


@pytest.mark.parametrize("metric", list(Metric))
def test_block_mode_serves_every_measure(metric: Metric) -> None:
    asked = signal(metric, block=3600.0)
    bad = [table(6, 8, 8, 20)] * 400

    state = after(asked, *bad, every=1800.0)
    judgement = family.judge(asked, state, Labels(sum(bad, Confusion()), TALKING))

    assert state.detected.seen.n
    assert judgement.verdict is verdict.Verdict.BREACHED
    assert voting.warning(state, asked.block) is None


def test_in_block_mode_the_sentence_counts_blocks() -> None:
    asked = signal(Metric.ACCURACY, block=3600.0)
    polls = [table(9, 1, 1, 19)] * 300 + [table(5, 5, 5, 15)] * 40
    state = after(asked, *polls, every=3600.0)

    judgement = family.judge(asked, state, Labels(sum(polls, Confusion()), TALKING))

    assert judgement.because.endswith("at most once in 86,400 blocks of 1 h with labels")


def test_bursts_are_warned_of_without_blocks_only() -> None:
    polls = [table(20, 0, 0, 30)] * 20 + ([table(20, 0, 0, 30)] * 10 + [table(20, 4, 4, 22)] * 10) * 20
    plain, blocks = signal(Metric.ACCURACY, 0.5), signal(Metric.ACCURACY, 0.5, block=86_400.0)

    assert "errors come in bursts" in (voting.warning(after(plain, *polls), plain.block) or "")
    assert voting.warning(after(blocks, *polls), blocks.block) is None
    assert voting.warning(after(plain, *polls[:5]), plain.block) is None


@pytest.mark.parametrize("minimum", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("metric", list(Metric))
def test_any_minimum_ends_in_a_sentence(metric: Metric, minimum: float) -> None:
    for poll in (table(3, 3, 3, 3), table(9, 0, 0, 9), table(0, 9, 9, 0)):
        assert said(signal(metric, minimum), *[poll] * 100).because


@settings(max_examples=40)
@given(
    st.sampled_from(Metric),
    st.lists(tables, max_size=6),
    tables,
    st.booleans(),
    st.sampled_from([None, 60.0]),
)
def test_every_world_gets_a_verdict_with_a_sentence(
    metric: Metric, polls: list[Confusion], shown: Confusion, silent: bool, block: float | None
) -> None:
    asked = signal(metric, block=block)
    state = after(asked, *polls)

    judgement = family.judge(asked, state, Labels(shown, SILENT if silent else TALKING))

    assert judgement.because
    assert not judgement.because.endswith(".")
    if judgement.verdict is verdict.Verdict.OK:
        assert not silent
    if judgement.bound is not None:
        assert 0 <= judgement.bound <= 1


@pytest.mark.parametrize("metric", [Metric.PRECISION, Metric.RECALL, Metric.F1, Metric.BALANCED_ACCURACY])
def test_at_the_limit_false_alarms_are_further_apart_than_promised(metric: Metric) -> None:
    """400 lives exactly at .80, 20 labels a poll, three in ten positive, c = 100. [1.05 to 1.6 c]"""
    rng, alarm, runs, polls = np.random.default_rng(51), 100.0, 400, 1500
    rates = {
        Metric.PRECISION: [0.24, 0.06, 0.06, 0.64],
        Metric.RECALL: [0.24, 0.02, 0.06, 0.68],
        Metric.F1: [0.24, 0.06, 0.06, 0.64],
        Metric.BALANCED_ACCURACY: [0.21, 0.07, 0.09, 0.63],
    }[metric]
    tp, fp, fn, tn = np.moveaxis(rng.multinomial(20, rates, size=(runs, polls)).astype(float), -1, 0)
    if metric is Metric.BALANCED_ACCURACY:
        told = (tp + fn > 0) & (fp + tn > 0)
        votes = (fn / np.maximum(tp + fn, 1) + fp / np.maximum(fp + tn, 1)) / 2
        first = reference.vote_alarms(np.where(told, votes, np.nan), 0.2, alarm)
    else:
        rows, bad = {
            Metric.PRECISION: (tp + fp, fp),
            Metric.RECALL: (tp + fn, fn),
            Metric.F1: (tp + fp + fn, fp + fn),
        }[metric]
        told = rows > 0
        limit = signal(metric).limit.share
        first = reference.detector_alarms(bad, rows, limit, alarm)

    lived = np.where(np.isfinite(first), first, polls).astype(int)
    looks = np.cumsum(told, axis=1)[np.arange(runs), lived - 1]
    assert looks.mean() > alarm - 2 * looks.std() / math.sqrt(runs)
