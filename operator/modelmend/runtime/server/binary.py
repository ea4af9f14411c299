"""The protocol's binary tensors: data that follows the JSON instead of standing in it.

Triton's client sends inputs like this unless it is told not to, so a server that cannot read them fails its first
request. Answers stay JSON, which the same clients read. The header `Inference-Header-Content-Length` says where
the JSON ends; each input's `binary_data_size` says how many of the following bytes are its own.
"""

from typing import Any, Final

import numpy as np

from modelmend.runtime.server.protocol import InferenceRequest, InputTensor
from modelmend.runtime.server.refusals import BadRequest, excerpt

HEADER: Final = b"inference-header-content-length"
SIZE: Final = "binary_data_size"
_DTYPES: Final = {
    "BOOL": "?", "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "UINT8": "<u1", "UINT16": "<u2",
    "UINT32": "<u4", "UINT64": "<u8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip


def split(body: bytes, length: bytes) -> tuple[bytes, memoryview]:
    """The JSON and the tensors of a body, cut where the header says."""
    if not length.isdigit() or int(length) > len(body):
        raise BadRequest("the header Inference-Header-Content-Length is not a length within the body")
    return body[: int(length)], memoryview(body)[int(length) :]


def attach(request: InferenceRequest, tail: memoryview) -> None:
    """Gives each input that announced binary data its values. BadRequest names the input that does not fit."""
    at = 0
    for tensor in request.inputs:
        size = (tensor.parameters or {}).get(SIZE)
        if size is None:
            continue
        if type(size) is not int or size < 0 or at + size > len(tail):
            raise BadRequest(
                f"input {excerpt(tensor.name)} announces {excerpt(size)} bytes that did not come"
            )
        tensor.data = _values(tensor, tail[at : at + size])
        at += size
    if at != len(tail):
        raise BadRequest(f"the body has {len(tail) - at} bytes more than its inputs announce")


def _values(tensor: InputTensor, content: memoryview) -> list[Any]:
    if tensor.datatype == "BYTES":
        return _texts(tensor, content)
    dtype = _DTYPES.get(tensor.datatype)
    if dtype is None:
        raise BadRequest(f"input {excerpt(tensor.name)} has the unknown datatype {excerpt(tensor.datatype)}")
    if len(content) % np.dtype(dtype).itemsize:
        raise BadRequest(
            f"input {excerpt(tensor.name)} has {len(content)} bytes: no whole number of {tensor.datatype}"
        )
    values: list[Any] = np.frombuffer(content, dtype=dtype).tolist()
    return values


def _texts(tensor: InputTensor, content: memoryview) -> list[Any]:
    values: list[Any] = []
    at = 0
    while at < len(content):
        end = at + 4 + int.from_bytes(content[at : at + 4], "little")
        if at + 4 > len(content) or end > len(content):
            raise BadRequest(f"input {excerpt(tensor.name)} is cut short in element {len(values)}")
        try:
            values.append(str(content[at + 4 : end], "utf-8"))
        except UnicodeDecodeError:
            raise BadRequest(
                f"input {excerpt(tensor.name)}, element {len(values)} is not UTF-8 text"
            ) from None
        at = end
    return values
