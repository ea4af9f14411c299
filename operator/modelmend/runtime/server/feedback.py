"""Labels come home: signed prediction ids and the truth in, outcomes and label rows out.

    {prediction_id, label}                  the truth of a request with one row
    {prediction_id, label, index}           of one row
    {prediction_id, labels: […]}            of all rows; null where it is not known yet
    each with timestamp?                    when the truth was known: RFC 3339 or Unix seconds; now when left out

    matched     counted
    duplicate   every label of it was counted before (as far as this replica remembers)
    expired     the prediction is older than the expiry
    invalid     anything else, with the reason; nothing of the item is counted

A label that is none of the model's classes is invalid, not wrong: `True` for `true`, or 1.5 for 1, would otherwise
look like a model that fails, and heal it. So is, of a model that predicts numbers, what is not a finite number.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from modelmend.contract import log, metrics
from modelmend.contract.arms import Arm
from modelmend.runtime.grading import Grading
from modelmend.runtime.server import tokens
from modelmend.runtime.server.journal import Journal, LabelRow
from modelmend.runtime.server.refusals import BadRequest, TooLarge, excerpt
from modelmend.runtime.server.settings import Feedback, Life
from modelmend.runtime.server.tally import Labelled, Ledger

ITEMS_MAX: Final = 10_000
_AHEAD_SECONDS: Final = 300.0
"""How far a client's clock may be ahead of ours."""
_NAMED: Final = 10
_TURN: Final = 50
"""Items in one turn of the event loop."""


class Item(msgspec.Struct):
    """One labelled request."""

    prediction_id: str
    labels: list[Any] | None = None
    label: Any = None
    index: int | None = None
    timestamp: str | float | None = None


class Result(msgspec.Struct, omit_defaults=True):
    """What became of one item."""

    result: metrics.Feedback
    reason: str | None = None


class _Invalid(Exception):
    pass


class Desk:
    """Where feedback arrives. Belongs to the event loop."""

    def __init__(
        self,
        settings: Feedback,
        signer: tokens.Signer,
        ledger: Ledger,
        journal: Journal,
        classes: Sequence[str],
        grading: Grading | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`classes`: class keys of every model that this process loaded, for tokens that do not list theirs. `grading`:
        for numbers; without it their truth is logged, and is no evidence."""
        self._settings = settings
        self._signer = signer
        self._ledger = ledger
        self._journal = journal
        self._classes = frozenset(classes)
        self._grading = grading
        self._clock = clock
        self._counted: dict[bytes, int] = {}
        """Prediction id -> rows that were labelled, as bits; the oldest is forgotten first."""

    async def accept(self, body: bytes, foreign: Labelled) -> list[Result]:
        """The result of each item of a request's body, one object or a list of them. `foreign` counts what carries no
        readable prediction id. BadRequest when the body is no such thing."""
        try:
            decoded = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            decoded = _decoded_with_nan(body)
            if decoded is None:
                raise BadRequest(f"the body is not valid JSON: {error}") from None
        items = decoded if isinstance(decoded, list) else [decoded]
        if len(items) > ITEMS_MAX:
            raise TooLarge(
                f"{len(items)} items of feedback, and the limit is {ITEMS_MAX}: send several requests"
            )
        now, results = self._clock(), []
        for at, item in enumerate(items):
            results.append(self._one(item, now, foreign))
            if at % _TURN == _TURN - 1:
                await asyncio.sleep(0)  # predictions are answered in between
        return results

    def _one(self, raw: object, now: float, foreign: Labelled) -> Result:
        labelled = foreign
        try:
            item = msgspec.convert(raw, Item)
            prediction = self._signer.open(item.prediction_id)
            labelled = self._ledger.tally(prediction.answerer, prediction.arm).labelled
            result = self._matched(item, prediction, labelled, now)
        except msgspec.ValidationError as error:
            result = Result(metrics.Feedback.INVALID, f"this is not an item of feedback: {error}")
        except (tokens.UnreadableError, _Invalid) as error:
            result = Result(metrics.Feedback.INVALID, str(error))
        labelled.count_feedback(result.result)
        return result

    def _matched(self, item: Item, prediction: tokens.Prediction, labelled: Labelled, now: float) -> Result:
        if now - prediction.time > self._settings.expiry_seconds:
            days = self._settings.expiry_seconds / 86400
            return Result(metrics.Feedback.EXPIRED, f"the prediction is older than {days:g} days")
        known_at = _known_at(item.timestamp, now)
        actual = self._actual(item, prediction)
        before = self._counted.get(prediction.id, 0)
        fresh = {row: key for row, key in actual.items() if not before >> row & 1}
        if not fresh:
            return Result(metrics.Feedback.DUPLICATE, "these rows have their labels already")
        self._remember(prediction.id, before, fresh)
        self._count(prediction, fresh, labelled)
        labelled.observe_delay(max(known_at - prediction.time, 0.0))
        rows = [LabelRow(prediction.id, row, known_at, key) for row, key in fresh.items()]
        self._journal.add_labels(prediction.answerer, prediction.arm, rows, now)
        if len(fresh) < len(actual):
            repeated = len(actual) - len(fresh)
            return Result(
                metrics.Feedback.MATCHED, f"{repeated} of {len(actual)} rows had their labels already"
            )
        return Result(metrics.Feedback.MATCHED)

    def _actual(self, item: Item, prediction: tokens.Prediction) -> dict[int, str]:
        """Row -> class key (or text of the number), for every row whose label is known."""
        rows = prediction.rows
        if (item.labels is None) == (item.label is None):
            raise _Invalid("give either labels (one for each row) or label, and not both")
        if item.labels is None:
            given = {_row(item.index, rows): item.label}
        else:
            fits = len(item.labels) == rows or (prediction.truncated and len(item.labels) > rows)
            if not fits or item.index is not None:
                raise _Invalid(
                    f"labels has {len(item.labels)} entries and the prediction id covers {rows} rows: give one for each "
                    "row, null where it is not known, and no index"
                )
            given = {row: label for row, label in enumerate(item.labels[:rows]) if label is not None}
            if not given:
                raise _Invalid("labels holds no label: every entry is null")
        return {row: self._key(label, prediction) for row, label in given.items()}

    def _key(self, label: object, prediction: tokens.Prediction) -> str:
        if prediction.numbers is not None:
            return log.number_text(_number(label))
        if not isinstance(label, bool | int | float | str):
            raise _Invalid(f"label {excerpt(label)} is neither text, a number nor a boolean")
        key = log.class_key(label)
        if key in prediction.classes or (not prediction.complete and key in self._classes):
            return key
        classes = prediction.classes if prediction.complete else sorted(self._classes)
        more = ", …" if len(classes) > _NAMED else ""
        raise _Invalid(f"label {excerpt(label)} is none of the classes: {', '.join(classes[:_NAMED])}{more}")

    def _remember(self, identifier: bytes, before: int, fresh: dict[int, str]) -> None:
        mask = before
        for row in fresh:
            mask |= 1 << row
        self._counted[identifier] = mask
        if len(self._counted) > self._settings.remembered:
            del self._counted[next(iter(self._counted))]

    def _count(self, prediction: tokens.Prediction, actual: dict[int, str], labelled: Labelled) -> None:
        if prediction.numbers is not None:
            if self._grading is not None:
                self._count_errors(prediction, prediction.numbers, self._grading, actual, labelled)
            return
        for row, key in actual.items():
            labelled.count_outcome(prediction.answered[row], key)
        key = actual.get(prediction.evidence_row, "")
        if prediction.evidence_row not in actual:
            return
        answered = prediction.answered[prediction.evidence_row] == key
        labelled.count_evidence(prediction.answered[prediction.evidence_row], key)
        if prediction.confidence is not None:
            labelled.count_scored(prediction.confidence, answered)
        if prediction.paired is not None and prediction.beside is not None:
            other = prediction.paired[prediction.evidence_row] == key
            in_shadow = prediction.arm is Arm.SHADOW
            candidate_right, champion_right = (other, answered) if in_shadow else (answered, other)
            self._candidate(prediction).count_pair(_PAIRS[candidate_right, champion_right])

    def _count_errors(
        self,
        prediction: tokens.Prediction,
        numbers: tokens.Numbers,
        grading: Grading,
        actual: dict[int, str],
        labelled: Labelled,
    ) -> None:
        for row, text in actual.items():
            truth, is_evidence = float(text), row == prediction.evidence_row
            error = abs(numbers.answered[row] - truth)
            labelled.count_error(error, grading, evidence=is_evidence)
            if is_evidence and numbers.paired is not None and prediction.beside is not None:
                other = abs(numbers.paired[row] - truth)
                in_shadow = prediction.arm is Arm.SHADOW
                candidate, champion = (other, error) if in_shadow else (error, other)
                self._candidate(prediction).count_pair(grading.pair(candidate, champion))

    def _candidate(self, prediction: tokens.Prediction) -> Labelled:
        life: Life | None = prediction.beside if prediction.arm is Arm.SHADOW else prediction.answerer
        assert life is not None
        return self._ledger.tally(life, prediction.arm).labelled


_PAIRS: Final = {
    (True, True): metrics.Paired.BOTH_RIGHT,
    (False, True): metrics.Paired.CANDIDATE_ONLY_WRONG,
    (True, False): metrics.Paired.CHAMPION_ONLY_WRONG,
    (False, False): metrics.Paired.BOTH_WRONG,
}
"""(candidate is right, champion is right)"""


def _number(label: object) -> float:
    if isinstance(label, bool) or not isinstance(label, int | float):
        raise _Invalid(f"label {excerpt(label)} is not a number, and the model predicts numbers")
    try:
        found = float(label)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise _Invalid(
            f"label {excerpt(label)} is not a finite number: send the truth once it is known, and leave out the others"
        )
    return found


def _decoded_with_nan(body: bytes) -> Any:
    """Python's json module writes NaN and Infinity where JSON has no such words: what carries one is an item like any
    other, and told so. None when it is no JSON all the same."""
    if b"NaN" not in body and b"Infinity" not in body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _row(index: int | None, rows: int) -> int:
    if index is None:
        if rows > 1:
            raise _Invalid(
                f"the request had {rows} rows: give labels for all of them, or the index of this one"
            )
        return 0
    if not 0 <= index < rows:
        raise _Invalid(f"index {index} is outside of the {rows} row(s) that the prediction id covers")
    return index


def _known_at(timestamp: str | float | None, now: float) -> float:
    """Unix seconds of the label."""
    if timestamp is None:
        return now
    seconds = _seconds(timestamp) if isinstance(timestamp, str) else timestamp
    if not 0 <= seconds <= now + _AHEAD_SECONDS:
        raise _Invalid(f"timestamp {excerpt(timestamp)} is in the future or no Unix time in seconds")
    return min(seconds, now)


def _seconds(text: str) -> float:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise _Invalid(f"timestamp {excerpt(text)} is not RFC 3339, such as 2026-03-01T12:00:00Z") from None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
