"""Prediction ids: signed tokens that carry what was predicted, so that feedback needs no store.

A client gets one with each answer and sends it back with the truth, days later, to any replica. The replica that
counts may never have loaded the version that predicted, so a token carries the class keys it speaks of itself:

    format 1 | flags 1 | id 12 | time 6 (ms) | rows 2
    answerer: version, rollout | beside: version, rollout (paired arms only)         each: length 1, UTF-8
    classes: count 2, then each: length 2, UTF-8
    the answerer's class of each row | the class of the model beside (only if it scored too)     1 or 2 bytes a row
                                                         of regressors, which have no classes: its number, 8 bytes
    the answerer's confidence in each row (only with probabilities)     1 byte a row, 0 for none, else 1/255 each
    signature 16: HMAC-SHA256 of all that, under the model's key and name, cut to 128 bits

all in base64url without padding: about 100 characters for one row of a binary model. The class list is complete when
its keys have at most 64 bytes together, so that a misspelt label is recognised anywhere; otherwise it names only what
was predicted, which is all that right and wrong need. The id is random and the signature is secret until then, so
nobody can choose which row of a request is the one that counts as evidence.
"""

import base64
import binascii
import hmac
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelmend.contract import arms
from modelmend.runtime.server.settings import Life

ROWS_MAX: Final = 1000
"""Rows of a request that a token covers; the rest cannot be labelled."""
ID_BYTES: Final = 12
_COMPLETE_MAX: Final = 64
_TOKEN_MAX: Final = 1024 * 1024

_FORMAT: Final = 1
_HEAD: Final = struct.Struct(">BB12s6sH")
_COUNT: Final = struct.Struct(">H")
_TAG_BYTES: Final = 16

_ARMS: Final = (arms.Arm.SOLO, arms.Arm.SHADOW, arms.Arm.CANARY)
_ARM_BITS: Final = 0b0000_0011
_PAIR: Final = 0b0000_0100
_COMPLETE: Final = 0b0000_1000
_WIDE: Final = 0b0001_0000
_TRUNCATED: Final = 0b0010_0000
_NUMBERS: Final = 0b0100_0000
_CONFIDENT: Final = 0b1000_0000
"""Confidences follow. A server that does not know of them leaves what follows unread."""
_GRADES: Final = 255


class UnreadableError(ValueError):
    """Not a token of this model: damaged, or signed with another key."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What regressors predicted for each row. paired: as `Prediction.paired`."""

    answered: tuple[float, ...]
    paired: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a token says: class keys of each row by the model that answered and, on paired arms, by the other; of
    regressors `numbers`, and no class key."""

    id: bytes
    arm: arms.Arm
    time: float
    """Unix seconds, to the millisecond."""
    answerer: Life
    beside: Life | None
    answered: tuple[str, ...]
    paired: tuple[str, ...] | None
    """None on the solo arm, and when the model beside could not score."""
    classes: tuple[str, ...]
    """Every class of both models, if `complete`."""
    complete: bool
    truncated: bool
    """Whether the request had more rows than the token covers."""
    evidence_row: int
    """The one row of the request that counts as evidence."""
    confidence: float | None = None
    """How likely the answerer thought that it is right on that row, to within 1/510; None if it gave no number."""
    numbers: Numbers | None = None

    @property
    def rows(self) -> int:
        """Rows that the token covers."""
        return len(self.answered if self.numbers is None else self.numbers.answered)


class Signer:
    """Signs for one model; holds the key and shows it to nobody."""

    def __init__(self, key: bytes, model: str) -> None:
        # A key that two models share by mistake still does not let one's feedback count for the other.
        self._begun = hmac.new(key, b"modelmend prediction id\0" + model.encode() + b"\0", "sha256")

    def tag(self, payload: bytes) -> bytes:
        """The signature of a payload."""
        # Not hmac.digest: that gives the interpreter's lock away, and a busy lane keeps it for milliseconds.
        signing = self._begun.copy()
        signing.update(payload)
        return signing.digest()[:_TAG_BYTES]

    def open(self, token: str) -> Prediction:
        """What the token says; UnreadableError with a sentence when it is not of this model's making."""
        if not token.isascii() or len(token) > _TOKEN_MAX:
            raise UnreadableError(
                "prediction_id is not a prediction id: too long, or with foreign characters"
            )
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise UnreadableError("prediction_id is damaged: it is not base64url") from None
        payload, tag = raw[:-_TAG_BYTES], raw[-_TAG_BYTES:]
        # The same token has one spelling only, so that a changed last character is no second vote.
        if _text(raw) != token or not hmac.compare_digest(tag, self.tag(payload)):
            raise UnreadableError("prediction_id was not issued by this model: its signature does not match")
        if payload[0] != _FORMAT:
            raise UnreadableError(f"prediction_id has format {payload[0]} and this server reads {_FORMAT}")
        return _unpack(payload, tag)


class Identifiers:
    """Random ids, drawn from the system many at a time: each draw gives the interpreter's lock away (see `tag`)."""

    def __init__(self) -> None:
        self._drawn = b""
        self._at = 0

    def next(self) -> bytes:
        """ID_BYTES that were never handed out."""
        if self._at == len(self._drawn):
            self._drawn, self._at = os.urandom(ID_BYTES * 512), 0
        self._at += ID_BYTES
        return self._drawn[self._at - ID_BYTES : self._at]


class Mint:
    """Makes the tokens of one arm: what never changes between requests is packed once."""

    def __init__(
        self,
        signer: Signer,
        arm: arms.Arm,
        answerer: tuple[Life, Sequence[str]],
        beside: tuple[Life, Sequence[str]] | None = None,
    ) -> None:
        """`answerer`, `beside`: life and class keys, in the order of the class indices given to `mint`; without class
        keys, `mint` is given numbers."""
        self._signer = signer
        self._flags = _ARMS.index(arm) | (0 if answerer[1] else _NUMBERS)
        self._lives = _pack_life(answerer[0]) + (_pack_life(beside[0]) if beside else b"")
        self._keys = list(dict.fromkeys([*answerer[1], *(beside[1] if beside else ())]))
        index = {key: at for at, key in enumerate(self._keys)}
        self._answerer = [index[key] for key in answerer[1]]
        self._beside = [index[key] for key in beside[1]] if beside else []
        self._all = _pack_keys(self._keys)
        self._complete = sum(len(key.encode()) for key in self._keys) <= _COMPLETE_MAX

    def mint(
        self,
        identifier: bytes,
        time: float,
        answered: Sequence[Any],
        paired: Sequence[Any] | None = None,
        confidences: Sequence[float] | None = None,
    ) -> str:
        """A token for the first ROWS_MAX rows of a request; class indices (or numbers) of each row by one or both
        models, and the answerer's confidence in each row, NaN for none."""
        flags, rows = self._flags, min(len(answered), ROWS_MAX)
        if flags & _NUMBERS:
            return self._signed(
                (flags, identifier, time, rows, len(answered)), _COUNT.pack(0), answered[:rows], paired
            )
        own = [self._answerer[at] for at in answered[:rows]]
        other = [self._beside[at] for at in paired[:rows]] if paired is not None else []
        if self._complete:
            flags |= _COMPLETE
            keys, count = self._all, len(self._keys)
        else:
            used = list(dict.fromkeys([*own, *other]))
            place = {at: position for position, at in enumerate(used)}
            own, other = [place[at] for at in own], [place[at] for at in other]
            keys, count = _pack_keys([self._keys[at] for at in used]), len(used)
        if count > 256:
            flags |= _WIDE
        grades = b""
        if confidences is not None:
            flags |= _CONFIDENT
            grades = bytes(map(_grade, confidences[:rows]))
        return self._signed(
            (flags, identifier, time, rows, len(answered)),
            keys,
            own,
            None if paired is None else other,
            grades,
        )

    def _signed(
        self,
        head: tuple[int, bytes, float, int, int],
        keys: bytes,
        own: Sequence[Any],
        other: Sequence[Any] | None,
        grades: bytes = b"",
    ) -> str:
        flags, identifier, time, rows, asked = head
        if other is not None:
            flags |= _PAIR
        if asked > rows:
            flags |= _TRUNCATED
        payload = b"".join(
            (
                _HEAD.pack(_FORMAT, flags, identifier, int(time * 1000).to_bytes(6, "big"), rows),
                self._lives,
                keys,
                _values(own, flags),
                _values((other or ())[:rows], flags),
                grades,
            )
        )
        return _text(payload + self._signer.tag(payload))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _pack_life(life: Life) -> bytes:
    packed = b""
    for text in (life.version, life.rollout):
        encoded = text.encode()
        packed += len(encoded).to_bytes(1, "big") + encoded
    return packed


def _pack_keys(keys: Sequence[str]) -> bytes:
    encoded = [key.encode() for key in keys]
    return _COUNT.pack(len(keys)) + b"".join(_COUNT.pack(len(key)) + key for key in encoded)


def _values(values: Sequence[Any], flags: int) -> bytes:
    if flags & _NUMBERS:
        return struct.pack(f">{len(values)}d", *values)
    return struct.pack(f">{len(values)}H", *values) if flags & _WIDE else bytes(values)


def _grade(confidence: float) -> int:
    """0 for what is no number, and for what is next to nothing."""
    return round(confidence * _GRADES) if confidence > 0 else 0


class _Reader:
    """Walks over a payload whose signature was verified: we wrote it, so it is well-formed."""

    def __init__(self, payload: bytes, at: int) -> None:
        self._payload = payload
        self._at = at

    def take(self, count: int) -> bytes:
        self._at += count
        return self._payload[self._at - count : self._at]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def text(self, width: int) -> str:
        return self.take(self.number(width)).decode()

    def life(self) -> Life:
        return Life(self.text(1), self.text(1))

    def numbers(self, rows: int) -> tuple[float, ...]:
        return struct.unpack(f">{rows}d", self.take(8 * rows))

    def keys(self, classes: Sequence[str], rows: int, wide: bool) -> tuple[str, ...]:
        if wide:
            return tuple(classes[at] for at in struct.unpack(f">{rows}H", self.take(2 * rows)))
        return tuple(classes[at] for at in self.take(rows))


def _unpack(payload: bytes, tag: bytes) -> Prediction:
    _, flags, identifier, time, rows = _HEAD.unpack_from(payload)
    arm = _ARMS[flags & _ARM_BITS]
    reader = _Reader(payload, _HEAD.size)
    answerer = reader.life()
    beside = reader.life() if arm is not arms.Arm.SOLO else None
    classes = tuple(reader.text(2) for _ in range(reader.number(2)))
    wide, evidence_row = bool(flags & _WIDE), int.from_bytes(tag[:8], "big") % rows
    numbers: Numbers | None = None
    answered: tuple[str, ...] = ()
    paired: tuple[str, ...] | None = None
    if flags & _NUMBERS:
        numbers = Numbers(reader.numbers(rows), reader.numbers(rows) if flags & _PAIR else None)
    else:
        answered = reader.keys(classes, rows, wide)
        paired = reader.keys(classes, rows, wide) if flags & _PAIR else None
    grade = reader.take(rows)[evidence_row] if flags & _CONFIDENT else 0
    return Prediction(
        id=identifier,
        arm=arm,
        time=int.from_bytes(time, "big") / 1000,
        answerer=answerer,
        beside=beside,
        answered=answered,
        paired=paired,
        classes=classes,
        complete=bool(flags & _COMPLETE),
        truncated=bool(flags & _TRUNCATED),
        evidence_row=evidence_row,
        confidence=grade / _GRADES if grade else None,
        numbers=numbers,
    )
