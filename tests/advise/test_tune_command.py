"""`modelmend tune` as a person runs it."""

import json

import pytest
import typer
from typer.testing import CliRunner

from modelmend.cli import tune


def run(*words: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    app = typer.Typer()
    app.command()(tune.tune)
    found = CliRunner().invoke(app, words)
    return found.exit_code, found.stdout, found.stderr


def test_wish_within_reach_ends_with_yaml_to_paste() -> None:
    code, out, err = run("--labels-per-day", "60000", "--minimum", ".85", "--fall", ".05")

    assert code == 0
    assert "falseAlarmEvery: 720h" in out
    assert "simulating" in err
    assert "simulating" not in out


def test_wish_out_of_reach_fails_and_says_what_to_change() -> None:
    code, out, _ = run("--labels-per-day", "50", "--accuracy", ".9", "-o", "json")

    assert code == 1
    assert json.loads(out)["outOfReach"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--interval", "2 minutes"], "--interval '2 minutes' is no duration"),
        (["--interval", "2h"], "give 1s to 1h"),
        (["--within", "soon"], "--within 'soon' is no duration"),
        (["--accuracy", ".9"], "either --minimum"),
    ],
)
def test_wish_that_makes_no_sense_is_one_sentence(words: list[str], sentence: str) -> None:
    code, out, err = run("--labels-per-day", "1000", "--minimum", ".85", *words)

    assert code == 2
    assert sentence in err
    assert out == ""
