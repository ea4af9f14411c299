"""Inputs of a request to columns of the model, checked against the artifact's schema before any model sees them.

Two shapes of request are understood: one `[n, f]` tensor with the features in the signature's order, or one input
per feature (`[n]` or `[n, 1]`). Every refusal names the input and, where there is one, the row.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelmend.contract.manifest import Datatype, Feature
from modelmend.runtime.server.protocol import InferenceRequest, InputTensor
from modelmend.runtime.server.refusals import BadRequest, TooLarge, excerpt

NUMBERS: Final = frozenset(
    ["FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "BOOL"]
)
"""Datatypes that a number may travel under; whether its value fits the feature is checked by value."""
_WHOLE_MAX: Final = 2**63
_NAMED: Final = 12
"""Most columns that a sentence lists."""


@dataclass(frozen=True, slots=True)
class Rows:
    """n rows, one list of n values per feature in the signature's order.

    Numbers are float with NaN for missing; text is str with None for missing.
    """

    count: int
    columns: list[list[Any]]


class Signature:
    """Checks requests for one model."""

    def __init__(self, features: Sequence[Feature], rows_max: int) -> None:
        self.features = tuple(features)
        self._rows_max = rows_max
        self._place = {feature.name: at for at, feature in enumerate(features)}
        self._checks = [_CHECKS[feature.datatype] for feature in features]

    def rows(self, request: InferenceRequest) -> Rows:
        """The rows of a request. BadRequest, or TooLarge above the row limit."""
        inputs = request.inputs
        if not inputs:
            raise BadRequest(
                f"inputs is empty: send one [n,{len(self.features)}] tensor or one input per column"
            )
        if len(inputs) == 1 and self._is_tensor(inputs[0]):
            return self._from_tensor(inputs[0])
        return self._from_columns(inputs)

    def _is_tensor(self, tensor: InputTensor) -> bool:
        return tensor.name not in self._place or (
            len(self.features) > 1 and tensor.shape[1:] == [len(self.features)]
        )

    def _from_tensor(self, tensor: InputTensor) -> Rows:
        width = len(self.features)
        if tensor.shape[1:] != [width] and not (width == 1 and len(tensor.shape) == 1):
            raise BadRequest(
                f"input {excerpt(tensor.name)} is not a column of this model and has shape {excerpt(tensor.shape)}; the "
                f"model has {width} features ({self._names()}): send one tensor of shape [n,{width}], or one input per column"
            )
        count = self._count(tensor)
        flat = _flat(tensor, count * width)
        columns = []
        for at, (feature, check) in enumerate(zip(self.features, self._checks, strict=True)):
            _check_datatype(tensor, feature)
            columns.append(check(feature, flat[at::width]))
        return Rows(count, columns)

    def _from_columns(self, inputs: list[InputTensor]) -> Rows:
        columns: list[list[Any] | None] = [None] * len(self.features)
        count = self._count(inputs[0])
        for tensor in inputs:
            at = self._place.get(tensor.name)
            if at is None:
                raise BadRequest(
                    f"input {excerpt(tensor.name)} is not a column of this model: it has {self._names()}"
                )
            if columns[at] is not None:
                raise BadRequest(f"input {tensor.name!r} is given twice")
            if tensor.shape[1:] not in ([], [1]):
                raise BadRequest(
                    f"input {tensor.name!r} has shape {tensor.shape}: a column has shape [n] or [n,1]"
                )
            if self._count(tensor) != count:
                raise BadRequest(
                    f"input {tensor.name!r} has {tensor.shape[0]} rows and {inputs[0].name!r} has {count}: "
                    "every column needs the same number"
                )
            feature = self.features[at]
            _check_datatype(tensor, feature)
            columns[at] = self._checks[at](feature, _flat(tensor, count))
        if None in columns:
            missing = self.features[columns.index(None)].name
            raise BadRequest(f"input {missing!r} is missing: the model needs {self._names()}")
        return Rows(count, columns)  # type: ignore[arg-type]  # no None is left

    def _count(self, tensor: InputTensor) -> int:
        if not tensor.shape or tensor.shape[0] < 1:
            raise BadRequest(f"input {excerpt(tensor.name)} has shape {tensor.shape}: send at least one row")
        if tensor.shape[0] > self._rows_max:
            raise TooLarge(
                f"input {excerpt(tensor.name)} has {tensor.shape[0]} rows and the limit is {self._rows_max}: "
                "send several requests"
            )
        return tensor.shape[0]

    def _names(self) -> str:
        names = [feature.name for feature in self.features]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return ", ".join(names[:_NAMED]) + more


def _check_datatype(tensor: InputTensor, feature: Feature) -> None:
    if (
        (tensor.datatype in NUMBERS)
        if feature.datatype is not Datatype.BYTES
        else (tensor.datatype == "BYTES")
    ):
        return
    if tensor.name == feature.name:
        raise BadRequest(
            f"input {tensor.name!r} has datatype {excerpt(tensor.datatype)} and the model wants {feature.datatype}"
        )
    raise BadRequest(
        f"input {excerpt(tensor.name)} has datatype {excerpt(tensor.datatype)}, but its column {feature.name!r} is "
        f"{feature.datatype}: send one input per column"
    )


def _flat(tensor: InputTensor, size: int) -> list[Any]:
    data = tensor.data
    if data is None:
        raise BadRequest(f"input {excerpt(tensor.name)} has no data")
    if data and type(data[0]) is list:
        width = size // tensor.shape[0]
        for number, row in enumerate(data):
            if type(row) is not list or len(row) != width:
                raise BadRequest(
                    f"input {excerpt(tensor.name)}, row {number}: {width} values are needed by its shape"
                )
        data = [value for row in data for value in row]
    if len(data) != size:
        raise BadRequest(
            f"input {excerpt(tensor.name)} has {len(data)} values and its shape {tensor.shape} needs {size}"
        )
    return data


def _refused(feature: Feature, row: int, value: object, wanted: str) -> BadRequest:
    return BadRequest(f"input {feature.name!r}, row {row}: {excerpt(value)} is not {wanted}")


def _gap(feature: Feature, row: int, value: object) -> BadRequest:
    shown = "null" if value is None else "NaN"
    return BadRequest(
        f"input {feature.name!r}, row {row}: {shown} is refused, because the model was trained without missing values "
        "in this column"
    )


def _numbers(feature: Feature, values: list[Any]) -> list[Any]:
    checked = []
    for row, value in enumerate(values):
        kind = type(value)
        if kind is int:
            if not -_WHOLE_MAX <= value < 2 * _WHOLE_MAX:
                raise _refused(feature, row, value, "a number of 64 bits")
            checked.append(float(value))
        elif kind is float and math.isfinite(value):
            checked.append(value)
        elif value is None or value != value:
            if not feature.missing:
                raise _gap(feature, row, value)
            checked.append(math.nan)
        else:
            raise _refused(feature, row, value, "a finite number")
    return checked


def _whole_numbers(feature: Feature, values: list[Any]) -> list[Any]:
    checked = _numbers(feature, values)
    for row, value in enumerate(checked):
        if value == value and not value.is_integer():
            raise _refused(feature, row, value, "a whole number")
    return checked


def _flags(feature: Feature, values: list[Any]) -> list[Any]:
    checked = []
    for row, value in enumerate(values):
        if value is None or value != value:
            if not feature.missing:
                raise _gap(feature, row, value)
            checked.append(math.nan)
        elif value is True or value is False or (type(value) in (int, float) and value in (0, 1)):
            checked.append(float(value))
        else:
            raise _refused(feature, row, value, "true or false")
    return checked


def _texts(feature: Feature, values: list[Any]) -> list[Any]:
    for row, value in enumerate(values):
        if type(value) is str:
            continue
        if value is not None:
            raise _refused(feature, row, value, "text")
        if not feature.missing:
            raise _gap(feature, row, value)
    return values


_CHECKS: Final[dict[Datatype, Callable[[Feature, list[Any]], list[Any]]]] = {
    Datatype.FP64: _numbers,
    Datatype.INT64: _whole_numbers,
    Datatype.BOOL: _flags,
    Datatype.BYTES: _texts,
}
