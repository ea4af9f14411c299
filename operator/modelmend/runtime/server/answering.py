"""One arm: who answers a request, and who is scored beside it.

    arm      answers     scored beside     judged by requests, durations, predictions
    solo     own         -                 own
    shadow   champion    own (candidate)   champion for what it answered, candidate for what it would have
    canary   own         champion          own

The model beside is asked after the one that answers, so that neither's time holds the other's. Whatever it does
(raises, hangs, left memory) costs the request its pair and nothing else.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from modelmend.contract.arms import Arm
from modelmend.contract.manifest import Datatype
from modelmend.runtime import errors, loaded
from modelmend.runtime.server import binary, protocol, tokens
from modelmend.runtime.server.batches import Scored
from modelmend.runtime.server.lanes import ClosedError, Lane, OverdueError
from modelmend.runtime.server.refusals import BadRequest, Refusal, Unavailable
from modelmend.runtime.server.settings import Life
from modelmend.runtime.server.slots import Slot
from modelmend.runtime.server.tally import Served
from modelmend.runtime.server.tensors import Rows, Signature

_LARGE: Final = 128 * 1024
"""Bodies above this are read in a thread."""


@dataclass(frozen=True, slots=True)
class Role:
    """One model on one arm."""

    slot: Slot
    lane: Lane
    served: Served | None
    """None for a champion beside a canary: it is compared, not judged."""
    patience: float
    """Seconds after which a client would have had its 504, had this model answered."""


@dataclass(frozen=True, slots=True)
class Presentation:
    """How the answering model's predictions are shown: known once, at start."""

    model: str
    version: str
    signature: Signature
    outputs: tuple[str, ...]
    datatype: Datatype
    labels: tuple[Any, ...]
    """What `predict` says for each class index; none of a regressor, which says its numbers."""
    metadata: bytes


def presentation(model: str, life: Life, known: loaded.LoadedModel, rows_max: int) -> Presentation:
    """The public face of a loaded model."""
    classes = known.manifest.classes
    datatype = protocol.class_datatype(classes)
    outputs = (protocol.PREDICT, protocol.PREDICT_PROBA) if known.has_probabilities else (protocol.PREDICT,)
    described = protocol.model_metadata(
        model, life.version, known.manifest.features, classes, probabilities=known.has_probabilities
    )
    return Presentation(
        model=model,
        version=life.version,
        signature=Signature(known.manifest.features, rows_max),
        outputs=outputs,
        datatype=datatype,
        labels=known.class_keys if datatype is Datatype.BYTES else classes,
        metadata=msgspec.json.encode(described),
    )


class ArmService:
    """Answers the requests of one port."""

    def __init__(
        self, arm: Arm, face: Presentation, mint: tokens.Mint, answerer: Role, beside: Role | None
    ) -> None:
        self.arm = arm
        self.face = face
        self._mint = mint
        self._answerer = answerer
        self._beside = beside
        self._identifiers = tokens.Identifiers()
        self.missing: Callable[[Slot], None] = lambda _: None
        """Called when a model is asked for that left memory."""

    @property
    def lanes(self) -> Sequence[Lane]:
        """The threads behind this arm."""
        return [role.lane for role in (self._answerer, self._beside) if role]

    @property
    def is_ready(self) -> bool:
        """Whether the model that answers is in memory."""
        return self._answerer.slot.is_ready

    async def infer(self, body: bytes, json_length: bytes | None) -> bytes:
        """The JSON answer to a request's body; `json_length` says where binary tensors begin, if there are any.
        Refusal with a sentence. Both are counted."""
        began, aside, code = time.perf_counter(), 0.0, 200
        try:
            if len(body) > _LARGE:
                # Tens of milliseconds, in which the event loop would answer nobody else.
                decoded, rows = await asyncio.to_thread(self._read, body, json_length)
            else:
                decoded, rows = self._read(body, json_length)
            wanted = decoded.wants(self.face.outputs)
            identifier, now = self._identifiers.next(), time.time()
            asked = time.perf_counter()
            scored = await self._score(rows, identifier, now)
            answered = time.perf_counter()
            beside = await self._score_beside(rows, identifier, now, asked - began)
            aside = time.perf_counter() - answered
            paired = beside.answers.tolist() if beside else None
            confidences = None if scored.confidences is None else scored.confidences.tolist()
            token = self._mint.mint(identifier, now, scored.answers.tolist(), paired, confidences)
            return self._answer(decoded.id or identifier.hex(), wanted, scored, token)
        except Refusal as refusal:
            code = refusal.status
            raise
        except Exception:
            code = 500
            raise
        finally:
            if self._answerer.served:
                self._answerer.served.answered(code, time.perf_counter() - began - aside)

    def _read(self, body: bytes, json_length: bytes | None) -> tuple[protocol.InferenceRequest, Rows]:
        if json_length is None:
            decoded = protocol.decode(body)
        else:
            head, tail = binary.split(body, json_length)
            decoded = protocol.decode(head)
            binary.attach(decoded, tail)
        return decoded, self.face.signature.rows(decoded)

    def refused(self, code: int) -> None:
        """Counts a request that was refused before it could be read."""
        if self._answerer.served:
            self._answerer.served.answered(code, 0.0)

    async def _score(self, rows: Rows, identifier: bytes, now: float) -> Scored:
        role = self._answerer
        if not role.slot.is_ready:
            self.missing(role.slot)
            role.slot.require()  # Unavailable, with its sentence
        try:
            return await role.lane.submit(rows, identifier, now)
        except Refusal:  # it left memory meanwhile
            raise
        except OverdueError as error:
            raise Refusal(f"the model did not answer in time: {error}", 504) from None
        except ClosedError:
            raise Unavailable("this server is shutting down: try again") from None
        except errors.DataError as error:
            raise BadRequest(str(error)) from None
        except Exception:  # the lane has logged it
            raise Refusal(
                "the model could not score this request: the reason is in the server's log"
            ) from None

    async def _score_beside(self, rows: Rows, identifier: bytes, now: float, reading: float) -> Scored | None:
        role = self._beside
        if role is None:
            return None
        if not role.slot.is_ready:
            self.missing(role.slot)
            return None
        began = time.perf_counter()
        scored, code, late = None, 200, 0.0
        try:
            scored = await role.lane.submit(rows, identifier, now)
        except ClosedError:
            return None
        except OverdueError as error:
            # Late is slow, which the latency guard judges by the time it took: on a crowded node the candidate
            # would else be blamed for errors that no client could have seen. One that stays away for as long as a
            # client would have waited has failed.
            late = error.seconds
            code = 504 if late >= role.patience else 200
        except Exception:  # the lane has logged it
            code = 500
        if role.served:
            # What it would have taken, had it answered: the request had to be read either way.
            role.served.answered(code, reading + max(time.perf_counter() - began, late))
        return scored

    def _answer(self, identifier: str, wanted: Sequence[str], scored: Scored, token: str) -> bytes:
        face, count = self.face, len(scored.answers)
        outputs = []
        for name in wanted:
            if name == protocol.PREDICT:
                data = scored.answers.tolist()
                if face.labels:
                    data = [face.labels[at] for at in data]
                outputs.append(protocol.output(name, face.datatype, (count,), data))
            elif scored.probabilities is not None:
                table = scored.probabilities
                outputs.append(protocol.output(name, Datatype.FP64, table.shape, table.ravel().tolist()))
        parameters: dict[str, object] = {protocol.PREDICTION_ID: token}
        if count > tokens.ROWS_MAX:
            parameters[protocol.PREDICTION_ID_ROWS] = tokens.ROWS_MAX
        return msgspec.json.encode(
            {
                "model_name": face.model,
                "model_version": face.version,
                "id": identifier,
                "parameters": parameters,
                "outputs": outputs,
            }
        )
