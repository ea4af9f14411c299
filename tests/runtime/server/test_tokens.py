"""Prediction ids: what goes in comes out, nothing else is believed, and they stay small."""

import base64
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmend.contract.arms import Arm
from modelmend.runtime.server import tokens
from modelmend.runtime.server.settings import Life

SIGNER = tokens.Signer(bytes(32), "flights")
CHAMPION, CANDIDATE = Life("flights-v1", "3f2a9c1b-7"), Life("flights-v2", "3f2a9c1b-8")
CLASSES = st.lists(st.text(max_size=30), min_size=2, max_size=40, unique=True)


@given(classes=CLASSES, others=CLASSES, data=st.data(), arm=st.sampled_from(Arm), scored=st.booleans())
def test_what_goes_in_comes_out(
    classes: list[str], others: list[str], data: st.DataObject, arm: Arm, scored: bool
) -> None:
    rows = st.integers(1, 20)
    count = data.draw(rows)
    answered = data.draw(st.lists(st.integers(0, len(classes) - 1), min_size=count, max_size=count))
    paired = data.draw(st.lists(st.integers(0, len(others) - 1), min_size=count, max_size=count))
    has_pair = scored and arm is not Arm.SOLO
    beside = None if arm is Arm.SOLO else (CHAMPION, others)
    mint = tokens.Mint(SIGNER, arm, (CANDIDATE, classes), beside)

    read = SIGNER.open(mint.mint(b"identifier12", 1234567890.123, answered, paired if has_pair else None))

    assert (read.id, read.arm, read.time) == (b"identifier12", arm, 1234567890.123)
    assert (read.answerer, read.beside) == (CANDIDATE, beside[0] if beside else None)
    assert read.answered == tuple(classes[at] for at in answered)
    assert read.paired == (tuple(others[at] for at in paired) if has_pair else None)
    assert set(read.answered) <= set(read.classes)
    assert 0 <= read.evidence_row < count
    if read.complete:
        assert set(read.classes) == {*classes, *(others if beside else ())}


@given(st.binary(max_size=200))
def test_noise_is_unreadable(noise: bytes) -> None:
    with pytest.raises(tokens.UnreadableError):
        SIGNER.open(base64.urlsafe_b64encode(noise).rstrip(b"=").decode())


@given(st.text())
def test_any_text_is_unreadable(text: str) -> None:
    with pytest.raises(tokens.UnreadableError):
        SIGNER.open(text)


def test_every_other_spelling_of_a_token_is_unreadable() -> None:
    token = tokens.Mint(SIGNER, Arm.SOLO, (CHAMPION, ("0", "1"))).mint(bytes(12), time.time(), [1])
    alphabet = string.ascii_letters + string.digits + "-_=+/ "
    others = {token[:at] + new + token[at + 1 :] for at in range(len(token)) for new in alphabet}
    others |= {token + new for new in alphabet} | {token[:-1], ""}
    others.discard(token)

    for other in others:
        with pytest.raises(tokens.UnreadableError):
            SIGNER.open(other)


@pytest.mark.parametrize(
    "signer", [tokens.Signer(bytes(31) + b"1", "flights"), tokens.Signer(bytes(32), "trains")]
)
def test_another_key_or_model_cannot_read_a_token(signer: tokens.Signer) -> None:
    token = tokens.Mint(SIGNER, Arm.SOLO, (CHAMPION, ("0", "1"))).mint(bytes(12), time.time(), [1])

    with pytest.raises(tokens.UnreadableError, match="signature"):
        signer.open(token)


def test_many_classes_need_two_bytes_a_row_and_only_what_was_predicted_is_named() -> None:
    classes = [f"class-{number}" for number in range(1000)]
    mint = tokens.Mint(SIGNER, Arm.SOLO, (CHAMPION, classes))

    wide = SIGNER.open(mint.mint(bytes(12), 0, range(1000)))
    narrow = SIGNER.open(mint.mint(bytes(12), 0, [999, 7, 999]))

    assert wide.answered == tuple(classes)
    assert (narrow.answered, narrow.classes, narrow.complete) == (
        ("class-999", "class-7", "class-999"), ("class-999", "class-7"), False,
    )  # fmt: skip


def test_a_token_covers_the_first_thousand_rows() -> None:
    mint = tokens.Mint(SIGNER, Arm.CANARY, (CANDIDATE, ("0", "1")), (CHAMPION, ("0", "1")))

    read = SIGNER.open(mint.mint(bytes(12), 0, [0] * 1001, [1] * 1001))

    assert (len(read.answered), len(read.paired or ()), read.truncated) == (1000, 1000, True)


def test_tokens_are_compact() -> None:
    solo = tokens.Mint(SIGNER, Arm.SOLO, (CHAMPION, ("0", "1")))
    canary = tokens.Mint(SIGNER, Arm.CANARY, (CANDIDATE, ("0", "1")), (CHAMPION, ("0", "1")))

    assert len(solo.mint(bytes(12), time.time(), [1])) < 100
    assert len(canary.mint(bytes(12), time.time(), [1], [0])) < 130
    assert len(canary.mint(bytes(12), time.time(), [1] * 1000, [0] * 1000)) < 2800


def test_every_row_is_the_evidence_row_sometimes() -> None:
    mint = tokens.Mint(SIGNER, Arm.SOLO, (CHAMPION, ("0", "1")))
    chosen = {
        SIGNER.open(mint.mint(number.to_bytes(12, "big"), 0, [0] * 5)).evidence_row for number in range(200)
    }

    assert chosen == {0, 1, 2, 3, 4}


@given(st.lists(st.floats(0.002, 1.0), min_size=1, max_size=30), st.sampled_from(Arm))
def test_confidence_of_the_evidence_row_comes_out_within_half_a_grade(scores: list[float], arm: Arm) -> None:
    beside = None if arm is Arm.SOLO else (CHAMPION, ("no", "yes"))
    mint = tokens.Mint(SIGNER, arm, (CANDIDATE, ("no", "yes")), beside)
    paired = None if beside is None else [0] * len(scores)

    read = SIGNER.open(mint.mint(bytes(12), 1.0, [1] * len(scores), paired, scores))

    assert read.confidence == pytest.approx(scores[read.evidence_row], abs=1 / 510 + 1e-9)
    assert read.answered == ("yes",) * len(scores)


@pytest.mark.parametrize("scores", [None, [float("nan")], [0.0], [0.001]])
def test_without_a_number_for_a_score_there_is_no_confidence(scores: list[float] | None) -> None:
    mint = tokens.Mint(SIGNER, Arm.SOLO, (CANDIDATE, ("no", "yes")))

    assert SIGNER.open(mint.mint(bytes(12), 1.0, [1], None, scores)).confidence is None


def test_confidences_are_cut_with_the_rows() -> None:
    mint = tokens.Mint(SIGNER, Arm.SOLO, (CANDIDATE, ("no", "yes")))
    read = SIGNER.open(mint.mint(bytes(12), 1.0, [1] * 1200, None, [1.0] * 1200))

    assert (len(read.answered), read.truncated, read.confidence) == (1000, True, 1.0)
