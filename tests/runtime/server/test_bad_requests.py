"""What a server refuses: each with a 4xx, one sentence that names the input, and no traceback."""

import asyncio
import contextlib
import json
from typing import Any

import pytest

from modelmend.contract.arms import Arm
from modelmend.runtime.server.settings import Limits
from runtime.server import replicas
from runtime.server.replicas import MODEL, ROW, Packed, Replica

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _with(name: str, **changes: Any) -> dict[str, Any]:
    request = replicas.columns([ROW])
    for tensor in request["inputs"]:
        if tensor["name"] == name:
            tensor |= changes
    return request


def _tensor(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 1]} | changes]}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "NaN where training had none": (_with("hour", data=[float("nan")]), "'hour', row 0: NaN"),
    "null where training had none": (_with("hour", data=[None]), "'hour', row 0: null"),
    "infinity": (_with("wind", data=[float("inf")]), "'wind', row 0: inf"),
    "minus infinity": (_with("wind", data=[float("-inf")]), "'wind', row 0: -inf"),
    "a missing category": (_with("carrier", data=[None]), "'carrier', row 0: null"),
    "a fraction for a whole number": (_with("hour", data=[7.5]), "'hour', row 0: 7.5"),
    "a number of 70 digits": (_with("hour", data=[10**70]), "'hour', row 0"),
    "text for a number": (_with("wind", data=["gale"]), "'wind', row 0: 'gale'"),
    "a boolean for a number": (_with("wind", data=[True]), "'wind', row 0: True"),
    "a number for text": (_with("carrier", data=[7]), "'carrier', row 0: 7"),
    "a number for a boolean": (_with("weekend", data=[2]), "'weekend', row 0: 2"),
    "a list for a value": (_with("wind", shape=[1], data=[[1, 2]]), "'wind'"),
    "another datatype": (_with("carrier", datatype="FP64", data=[1.0]), "'carrier' has datatype 'FP64'"),
    "an unknown datatype": (_with("hour", datatype="DECIMAL"), "'hour' has datatype 'DECIMAL'"),
    "an unknown column": (
        {"inputs": [*replicas.columns([ROW])["inputs"], {"name": "tail", "shape": [1], "datatype": "FP64", "data": [1]}]},
        "'tail' is not a column",
    ),
    "a missing column": ({"inputs": replicas.columns([ROW])["inputs"][:-1]}, "'weekend' is missing"),
    "a column twice": ({"inputs": replicas.columns([ROW])["inputs"] * 2}, "'hour' is given twice"),
    "columns of different lengths": (_with("wind", shape=[2], data=[1, 2]), "'wind' has 2 rows"),
    "more values than the shape": (_with("wind", data=[1, 2]), "'wind' has 2 values"),
    "fewer values than the shape": (_with("wind", shape=[1], data=[]), "'wind' has 0 values"),
    "a column of three dimensions": (_with("wind", shape=[1, 1, 1]), "'wind' has shape [1, 1, 1]"),
    "no rows": (_with("hour", shape=[0], data=[]), "'hour' has shape [0]"),
    "a negative shape": (_with("hour", shape=[-1]), "'hour' has shape [-1]"),
    "no shape": (_with("hour", shape=[]), "'hour' has shape []"),
    "no data": (_with("hour", data=None), "'hour' has no data"),
    "a tensor of another width": (_tensor(shape=[1, 3], data=[1, 2, 3]), "'x' is not a column"),
    "a tensor of mixed columns": (_tensor(), "'x' has datatype 'FP64', but its column 'carrier' is BYTES"),
    "a ragged tensor": (_tensor(shape=[2, 4], data=[[1, 2, 3, 1], [1]]), "'x', row 1"),
    "no inputs": ({"inputs": []}, "inputs is empty"),
    "inputs left out": ({}, "inputs"),
    "inputs that are no list": ({"inputs": {"hour": 7}}, "$.inputs"),
    "a shape of text": (_with("hour", shape=["1"]), "$.inputs[0].shape[0]"),
    "an id that is no text": (replicas.columns([ROW], id=7), "$.id"),
    "binary data that did not come": (_with("hour", data=None, parameters={"binary_data_size": 8}), "'hour' has no data"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_request_is_refused_with_a_sentence(solo: Replica, case: str) -> None:
    request, names = BAD[case]

    response = await solo.client.post(solo.url(f"/models/{MODEL}/infer"), content=json.dumps(request))

    assert response.status_code == 400, response.text
    assert list(response.json()) == ["error"]
    assert names in response.json()["error"]
    assert "Traceback" not in response.text


async def test_nan_and_null_are_missing_values_where_training_had_some(solo: Replica) -> None:
    null = await solo.infer(_with("wind", data=[None]))
    nan = await solo.client.post(
        solo.url(f"/models/{MODEL}/infer"), content=json.dumps(_with("wind", data=[float("nan")]))
    )

    assert null.status_code == nan.status_code == 200
    assert null.json()["outputs"] == nan.json()["outputs"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"inputs": ' + b"[" * 100_000 + b"NaN"]
)
async def test_garbage_is_refused_with_a_sentence(solo: Replica, body: bytes) -> None:
    for path in ("infer", "feedback"):
        response = await solo.client.post(solo.url(f"/models/{MODEL}/{path}"), content=body)

        # To feedback, `[]` is no item and `null` a bad one.
        assert response.status_code == (200 if path == "feedback" and body in (b"[]", b"null") else 400)
        assert "Traceback" not in response.text


@pytest.mark.parametrize(
    ("name", "datatype", "content", "names"),
    [
        ("wind", "FP64", b"1234567", "'wind' has 7 bytes: no whole number of FP64"),
        ("wind", "DECIMAL", b"12345678", "'wind' has the unknown datatype"),
        ("wind", "FP64", b"\x00\x00\x00\x00\x00\x00\xf0\x7f", "'wind', row 0: inf"),
        ("carrier", "BYTES", b"\x02\x00\x00\x00A", "'carrier' is cut short in element 0"),
        ("carrier", "BYTES", b"\x02\x00", "'carrier' is cut short in element 0"),
        ("carrier", "BYTES", b"\x02\x00\x00\x00\xff\xff", "'carrier', element 0 is not UTF-8"),
    ],
)
async def test_binary_values_that_make_no_sense_are_refused(
    solo: Replica, name: str, datatype: str, content: bytes, names: str
) -> None:
    request = _with(name, data=None, datatype=datatype, parameters={"binary_data_size": len(content)})
    head = json.dumps(request).encode()

    response = await solo.client.post(
        solo.url(f"/models/{MODEL}/infer"),
        content=head + content,
        headers={"Inference-Header-Content-Length": str(len(head))},
    )

    assert response.status_code == 400
    assert names in response.json()["error"]


@pytest.mark.parametrize(
    ("length", "tail", "names"),
    [
        ("9999999", b"", "not a length"),
        ("-1", b"", "not a length"),
        (None, b"1234", "'wind' announces 8 bytes"),
        (None, b"12345678extra", "5 bytes more"),
    ],
)
async def test_binary_tensors_that_do_not_fit_are_refused(
    solo: Replica, length: str | None, tail: bytes, names: str
) -> None:
    request = _with("wind", data=None, parameters={"binary_data_size": 8})
    head = json.dumps(request).encode()

    response = await solo.client.post(
        solo.url(f"/models/{MODEL}/infer"),
        content=head + tail,
        headers={"Inference-Header-Content-Length": length or str(len(head))},
    )

    assert response.status_code == 400
    assert names in response.json()["error"]


async def test_ten_megabytes_of_json_are_refused_before_they_are_sent(solo: Replica) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", solo.host.ports[Arm.SOLO.value])
    head = f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 10485760\r\n\r\n"

    writer.write(head.encode())
    status = await asyncio.wait_for(reader.readline(), 10)
    writer.close()

    assert b" 413 " in status


@pytest.mark.parametrize("chunked", [False, True])
async def test_ten_megabytes_of_json_get_a_sentence_and_the_connection_lives(
    solo: Replica, chunked: bool
) -> None:
    body = b'{"inputs": [' + b" " * (10 * 1024 * 1024) + b"]}"

    async def pieces() -> Any:
        for at in range(0, len(body), 65536):
            yield body[at : at + 65536]

    response = await solo.client.post(
        solo.url(f"/models/{MODEL}/infer"), content=pieces() if chunked else body
    )
    after = await solo.predict([ROW])

    assert response.status_code == 413
    assert "4194304 bytes" in response.json()["error"]
    assert after["model_version"] == "v1"


async def test_a_compressed_body_is_refused(solo: Replica) -> None:
    response = await solo.infer(replicas.columns([ROW]), headers={"Content-Encoding": "gzip"})

    assert response.status_code == 415


async def test_too_many_rows_are_refused(boosting: Packed) -> None:
    told = replicas.settings(boosting, limits=Limits(rows=5))
    async with replicas.running(told) as replica:
        response = await replica.infer(replicas.columns([ROW] * 6))

    assert response.status_code == 413
    assert "6 rows and the limit is 5" in response.json()["error"]


async def test_more_requests_than_the_limit_are_told_to_come_back(boosting: Packed) -> None:
    told = replicas.settings(boosting, limits=Limits(concurrency=1))
    async with replicas.running(told) as replica:
        port = replica.host.ports[Arm.SOLO.value]
        _, slow = await asyncio.open_connection("127.0.0.1", port)
        slow.write(f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n".encode())
        await replicas.eventually(lambda: replica.host.stage.in_flight)

        response = await replica.infer(replicas.columns([ROW]))
        slow.close()
        await replicas.eventually(lambda: not replica.host.stage.in_flight)
        after = await replica.infer(replicas.columns([ROW]))
        samples = await replica.samples()

    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert after.status_code == 200
    assert samples.get("modelmend_requests_total", code="503") == 1


async def test_heads_and_bodies_that_never_end_are_cut_off(boosting: Packed) -> None:
    told = replicas.settings(boosting, limits=Limits(header_seconds=0.1, body_seconds=0.1))
    async with replicas.running(told) as replica:
        port = replica.host.ports[Arm.SOLO.value]

        async def said(sent: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            answer = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            return answer

        line = f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\n".encode()
        head = await said(line)
        body = await said(line + b"Host: x\r\nContent-Length: 9\r\n\r\n{")

    assert head == b""
    assert b" 408 " in body
    assert b"connection: close" in body


async def test_a_head_that_never_ends_is_cut_off_by_size(solo: Replica) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", solo.host.ports[Arm.SOLO.value])
    writer.write(b"GET /v2 HTTP/1.1\r\n")
    answer = asyncio.create_task(reader.read())
    while not answer.done():
        writer.write(b"X-Filler: " + b"x" * 8000 + b"\r\n")
        await asyncio.sleep(0)
    writer.close()

    # What was still on its way when the server closed may turn its answer into a reset.
    with contextlib.suppress(ConnectionResetError):
        assert b"400 Bad Request" in await answer
