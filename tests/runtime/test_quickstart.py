"""What the quickstart shows of a model is what a person can run."""

import re
from pathlib import Path

from typer.testing import CliRunner

from modelmend.runtime import artifact, commands
from runtime import worlds

PAGE = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text()


def test_the_script_and_the_command_of_the_quickstart_make_an_artifact(tmp_path, monkeypatch):
    (script,) = re.findall(r"^```python\n# (\S+)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    (command,) = re.findall(r"^    modelmend (pack .*)$", PAGE, flags=re.MULTILINE)
    rows = worlds.flights(days=6)
    rows.assign(fast=rows["late"] == "late").drop(columns="late").to_parquet(tmp_path / "winter.parquet")
    (tmp_path / script[0]).write_text(script[1])
    monkeypatch.chdir(tmp_path)

    target = command.split("--to ")[1].split()[0]
    done = CliRunner().invoke(commands.app, command.replace(target, "out").split())

    assert target.startswith("s3://"), "the test writes beside it"
    assert done.exit_code == 0, done.output
    loaded = artifact.load((tmp_path / "out").as_uri())
    assert loaded.manifest.model == "flights"
    assert loaded.manifest.classes == (False, True)
    assert loaded.manifest.window is not None, "the fourth value is the time of each row"
    assert loaded.manifest.metrics["accuracy"] > 0.6
