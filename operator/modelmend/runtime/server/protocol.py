"""The words of the Open Inference Protocol v2 (REST): requests in, answers and metadata out.

Knows nothing of the model beyond its signature; `tensors` turns a request's inputs into checked columns.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from modelmend.contract.manifest import Datatype, Feature
from modelmend.runtime.server.refusals import BadRequest

PREDICT: Final = "predict"
PREDICT_PROBA: Final = "predict_proba"
PREDICTION_ID: Final = "prediction_id"
PREDICTION_ID_ROWS: Final = "prediction_id_rows"
PLATFORM: Final = "sklearn"
EXTENSIONS: Final = ("binary_tensor_data",)

Class = bool | int | float | str


class InputTensor(msgspec.Struct):
    """One input as a client sent it."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    """None only where the data follows the JSON in binary (`binary.attach` fills it in)."""
    parameters: dict[str, Any] | None = None


class OutputWish(msgspec.Struct):
    """One output that a client asks for."""

    name: str
    parameters: dict[str, Any] | None = None


class InferenceRequest(msgspec.Struct):
    """The body of `POST …/infer`."""

    inputs: list[InputTensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[OutputWish] | None = None

    def wants(self, available: Sequence[str]) -> Sequence[str]:
        """Names of the outputs to answer with: those asked for, or all. BadRequest names an unknown one."""
        if not self.outputs:
            return available
        for output in self.outputs:
            if output.name not in available:
                raise BadRequest(
                    f"output {output.name!r} does not exist: this model has {', '.join(available)}"
                )
        return [output.name for output in self.outputs]


_DECODER: Final = msgspec.json.Decoder(InferenceRequest)


def decode(body: bytes) -> InferenceRequest:
    """The request in a body; BadRequest says where it is not one."""
    try:
        return _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise BadRequest(f"the body is not an inference request: {error}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        if b"NaN" in body or b"Infinity" in body:
            return _decode_with_nan(body)
        raise BadRequest(f"the body is not valid JSON: {error}") from None


def _decode_with_nan(body: bytes) -> InferenceRequest:
    """Python's json module writes NaN where JSON has no such word; it is a missing value, or gets a sentence."""
    try:
        return msgspec.convert(json.loads(body), InferenceRequest)
    except msgspec.ValidationError as error:
        raise BadRequest(f"the body is not an inference request: {error}") from None
    except (ValueError, RecursionError):
        raise BadRequest("the body is not valid JSON") from None


def class_datatype(classes: Sequence[Class]) -> Datatype:
    """The datatype of the output `predict`: that of the class labels, BYTES when they are of several kinds; FP64 of a
    regressor, which has none."""
    kinds = {type(value) for value in classes}
    if kinds == {bool}:
        return Datatype.BOOL
    if kinds == {int}:
        return Datatype.INT64
    if kinds <= {int, float}:
        return Datatype.FP64
    return Datatype.BYTES


def output(name: str, datatype: Datatype, shape: Sequence[int], data: object) -> dict[str, Any]:
    """One output tensor of an answer; `data` is flat."""
    return {"name": name, "datatype": datatype.value, "shape": shape, "data": data}


def server_metadata(version: str) -> dict[str, Any]:
    """The answer to `GET /v2`."""
    return {"name": "modelmend", "version": version, "extensions": EXTENSIONS}


def model_metadata(
    model: str, version: str, features: Sequence[Feature], classes: Sequence[Class], *, probabilities: bool
) -> Mapping[str, Any]:
    """The answer to `GET /v2/models/{m}`: the signature, one input per column."""
    outputs = [{"name": PREDICT, "datatype": class_datatype(classes).value, "shape": [-1]}]
    if probabilities:
        outputs.append({"name": PREDICT_PROBA, "datatype": Datatype.FP64.value, "shape": [-1, len(classes)]})
    return {
        "name": model,
        "versions": [version],
        "platform": PLATFORM,
        "inputs": [{"name": f.name, "datatype": f.datatype.value, "shape": [-1]} for f in features],
        "outputs": outputs,
    }
