"""Every ModelDeployment that our documents show is one that the API server takes."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.apiserver import ApiServer

ROOT = Path(__file__).parents[2]


def documents() -> Iterator[tuple[str, str]]:
    """(where it stands, text) of each YAML document that names a ModelDeployment."""
    for file in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("charts/**/*.md")]:
        for block in re.findall(r"^```ya?ml\n(.*?)^```", file.read_text(), flags=re.DOTALL | re.MULTILINE):
            yield from (
                (str(file.relative_to(ROOT)), part) for part in re.split(r"^---$", block, flags=re.MULTILINE)
            )
    for file in ROOT.glob("demo/*.yaml"):
        yield from (
            (str(file.relative_to(ROOT)), part)
            for part in re.split(r"^---$", file.read_text(), flags=re.MULTILINE)
        )


EXAMPLES = [
    (where, yaml.safe_load(text))
    for where, text in documents()
    if re.search(r"^kind: ModelDeployment$", text, flags=re.MULTILINE)
]


@pytest.mark.api
@pytest.mark.parametrize(("where", "example"), EXAMPLES, ids=[where for where, _ in EXAMPLES])
def test_example_is_accepted(
    where: str, example: dict[str, Any], api_client: ApiServer, crds: object
) -> None:
    in_default = {**example, "metadata": {**example["metadata"], "namespace": "default"}}

    made = api_client.create(in_default, dry_run=True)

    assert made["kind"] == "ModelDeployment"


def test_our_documents_show_examples() -> None:
    assert len(EXAMPLES) >= 2
