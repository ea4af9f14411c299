"""`modelmend backtest` as a person runs it: what it prints, and one sentence for whatever is of no use."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.testing

from backtest import histories
from backtest.histories import Remembered
from modelmend.cli import backtest as command

APP = typer.Typer(pretty_exceptions_enable=False)
APP.command()(command.backtest)
FROM, TO = ("--from", "2026-01-01T11:00:00Z"), ("--to", "2026-01-01T13:00:00Z")


def run(*words: str) -> Any:
    return typer.testing.CliRunner().invoke(APP, words)


def refused(found: Any, code: int = 2) -> str:
    """The sentence; fails unless that is all there is."""
    assert found.exit_code == code, found.output
    lines = [line for line in found.stderr.splitlines() if line.strip()]
    assert lines[-1].startswith("modelmend backtest: ")
    assert "Traceback" not in found.output
    return str(lines[-1])


class Gate:
    """In front of a Prometheus: lets through who has the token."""

    def __init__(self, token: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.headers.get("Authorization") == f"Bearer {token}"
                body = (
                    b'{"status":"success","data":{"resultType":"vector","result":[]}}'
                    if known
                    else b"who are you?"
                )
                self.send_response(200 if known else 401)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate("open sesame")
    yield made
    made.close()


def test_history_is_told_as_text_and_as_json_and_drawn(remembered: Remembered, tmp_path: Path) -> None:
    words = ["-f", str(histories.policy(tmp_path)), "--prometheus", remembered.url, *FROM, *TO]
    text = run(*words)
    drawn = tmp_path / "signals.png"
    plain = run(*words, "-o", "json", "--picture", str(drawn), "--step", "2m")

    assert text.exit_code == 0, text.output
    assert "! 2026-01-01 12:" in text.stdout
    assert "1 alarm in 2.0 h, looking every 1m; a retraining would have been asked for once" in text.stdout
    assert plain.exit_code == 0, plain.output
    (alarm,) = json.loads(plain.stdout)["alarms"]
    assert (alarm["version"], alarm["signal"], alarm["verdict"]) == ("flights-v1", "accuracy", "Breached")
    assert drawn.read_bytes().startswith(b"\x89PNG")


def test_times_may_be_days_or_how_long_ago(remembered: Remembered, tmp_path: Path) -> None:
    """Nothing was ever scraped lately: what is refused is the history, and no option."""
    file = str(histories.policy(tmp_path))
    lately = refused(run("-f", file, "--prometheus", remembered.url, "--from", "2h ago", "--to", "now"))
    day = run(
        "-f",
        file,
        "--prometheus",
        remembered.url,
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-02",
        "--step",
        "30m",
    )

    assert "knows nothing of ml/flights" in lately
    assert day.exit_code == 0, day.output


def test_model_that_prometheus_does_not_know_is_answered_with_those_that_it_knows(
    remembered: Remembered, tmp_path: Path
) -> None:
    file = str(histories.policy(tmp_path))
    sentence = refused(run("-f", file, "--prometheus", remembered.url, *FROM, *TO, "-n", "other"))
    version = refused(run("-f", file, "--prometheus", remembered.url, *FROM, *TO, "--version", "flights-v9"))

    assert "knows nothing of other/flights" in sentence
    assert "but of ml/flights" in sentence
    assert "--version flights-v9 is not in this history: it holds flights-v1" in version


def test_token_is_sent_and_its_absence_said(gate: Gate, tmp_path: Path) -> None:
    words = ["-f", str(histories.policy(tmp_path)), "--prometheus", gate.url, *FROM, *TO]
    token = tmp_path / "token"
    token.write_text("open sesame\n")
    header = tmp_path / "headers"
    header.write_text("Authorization: Bearer open sesame\n")

    assert "401" in refused(run(*words), 1)
    assert "--bearer-token-file" in refused(run(*words), 1)
    assert "knows nothing of ml/flights" in refused(run(*words, "--bearer-token-file", str(token)))
    assert "nor of any other model" in refused(run(*words, "--header-file", str(header)))


def test_prometheus_that_is_not_there_is_named(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = str(histories.policy(tmp_path))

    sentence = refused(run("-f", file, "--prometheus", f"http://127.0.0.1:{port}", *FROM, *TO), 1)

    assert f"Prometheus at 127.0.0.1:{port} cannot be reached" in sentence


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--prometheus", "prometheus:9090", *FROM, *TO], "'prometheus:9090' is no address"),
        (["--prometheus", "http://p", "--from", "yesterday", *TO], "--from 'yesterday' is no moment"),
        (
            ["--prometheus", "http://p", *FROM, "--to", "2026-01-01"],
            "is not before --to 2026-01-01T00:00:00Z",
        ),
        (["--prometheus", "http://p", *FROM, *TO, "--step", "10s"], "shorter than monitoring.interval (1m)"),
        (["--prometheus", "http://p", *FROM, *TO, "--step", "0s"], "--step '0s' is no time at all"),
        (
            ["--prometheus", "http://p", *FROM, *TO, "--step", "3h"],
            "the window of inputs (2h), which would end unseen",
        ),
        (["--prometheus", "http://p", *FROM, "--to", "2026-01-01T11:00:30Z"], "there is no pulse of 1m"),
        (
            ["--prometheus", "http://p", "--from", "2020-01-01", *TO, "--step", "720h"],
            "not shorter than falseAlarmEvery",
        ),
        (
            ["--prometheus", "http://p", *FROM, *TO, "--metric", "accuracy"],
            "--metric 'accuracy' is no measure",
        ),
        (
            ["--prometheus", "http://p", *FROM, *TO, "--records", "/nowhere.yaml"],
            "/nowhere.yaml does not exist",
        ),
        (
            ["--prometheus", "http://p", *FROM, *TO, "--ca-file", "/nowhere.pem"],
            "--ca-file /nowhere.pem cannot be read",
        ),
    ],
)
def test_option_that_makes_no_sense_is_refused_before_anybody_is_asked(
    tmp_path: Path, words: list[str], sentence: str
) -> None:
    signals = [
        {"name": "accuracy", "minimum": 0.88},
        {"name": "inputs", "type": "FeatureDrift", "window": "2h"},
    ]
    file = histories.policy(tmp_path, signals=signals)

    assert sentence in refused(run("-f", str(file), *words))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind: Deployment", "holds no ModelDeployments"),
        ("a: [", "is not YAML in line 1"),
        (
            "{kind: ModelDeployment, apiVersion: modelmend.dev/v1alpha1, metadata: {name: a}, spec: {}}",
            "spec.storage: Field required",
        ),
        (
            """
            kind: ModelDeployment
            apiVersion: modelmend.dev/v1alpha1
            metadata: {name: a}
            spec:
              model: {uri: s3://a/b}
              storage: {uri: s3://a}
              serving:
                gateway: {parentRef: {name: g}, hostnames: [a.example.com]}
                template: {image: server:1}
              monitoring:
                metrics: {requests: {name: r, code: c}, outcomes: {correct: a, total: b}}
              retraining: {trainer: {template: {image: trainer:1}}}
            """,
            "a backtest replays what the built-in server counted: give a ModelDeployment without one",
        ),
    ],
)
def test_policy_that_is_none_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text)

    assert sentence in refused(run("-f", str(file), "--prometheus", "http://p", *FROM, *TO))


def test_records_of_another_model_are_refused(tmp_path: Path) -> None:
    records = tmp_path / "versions.yaml"
    records.write_text("{kind: List, items: []}")
    file = histories.policy(tmp_path)

    found = refused(run("-f", str(file), "--prometheus", "http://p", *FROM, *TO, "--records", str(records)))

    assert "holds no ModelVersion of flights" in found
