"""The CRDs themselves: generated, structural, small, and described to the last field."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pydantic
import pytest
import yaml

from modelmend.api import crd, reference, resources, structural
from modelmend.api.rules import LIST_TYPE, VALIDATIONS
from modelmend.api.spec import ModelDeploymentSpec
from modelmend.api.status import ModelDeploymentStatus
from modelmend.contract.manifest import LabelDelay
from modelmend.contract.result import Evaluation

ROOT = Path(__file__).parents[2]
DEFINITIONS = {"ModelDeployment": crd.model_deployment(), "ModelVersion": crd.model_version()}
MODELS = (
    ModelDeploymentSpec,
    ModelDeploymentStatus,
    resources.ModelVersionSpec,
    resources.ModelVersionStatus,
)


def root_of(kind: str) -> dict[str, Any]:
    return DEFINITIONS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def schemas(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A schema and every schema in it, by path."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from schemas(field, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if word in schema:
            yield from schemas(schema[word], f"{path}[]")


def models(model: type[pydantic.BaseModel]) -> Iterator[type[pydantic.BaseModel]]:
    """A model and every model of this room in its fields."""
    yield model
    for field in model.model_fields.values():
        for part in parts(field.annotation):
            if isinstance(part, type) and issubclass(part, pydantic.BaseModel) and ".api." in part.__module__:
                yield from models(part)


def parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in get_args(annotation):
        yield from parts(argument)


ALL = [(kind, path, schema) for kind in DEFINITIONS for path, schema in schemas(root_of(kind), "")]


# ---------------------------------------------------------------------------------------------------- generated
def test_files_of_crds_are_what_the_types_say() -> None:
    written = {file.name: file.read_text() for file in (ROOT / "crds").glob("*.yaml")}

    assert written == crd.files(), "run `make generate`"


def test_api_reference_is_what_the_types_say() -> None:
    assert (ROOT / "docs" / reference.NAME).read_text() == reference.markdown(), "run `make generate`"


def test_check_names_the_file_that_is_old(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for main in (crd.main, reference.main):
        assert main(["--to", str(tmp_path), "--check"]) == 1
    missing = capsys.readouterr().err
    for main in (crd.main, reference.main):
        assert main(["--to", str(tmp_path)]) == 0
        assert main(["--to", str(tmp_path), "--check"]) == 0

    assert "modelmend.dev_modeldeployments.yaml" in missing
    assert "api.md" in missing
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([*crd.files(), reference.NAME])


@pytest.mark.parametrize("name", crd.files())
def test_crd_is_far_below_the_limit_of_an_object(name: str) -> None:
    size = len(crd.files()[name].encode())

    assert size < 128 * 1024, "client-side apply keeps a second copy in an annotation of at most 256 KiB"


# --------------------------------------------------------------------------------------------------- structural
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_has_a_text_of_its_own(model: type[pydantic.BaseModel]) -> None:
    silent = [
        f"{found.__name__}.{name}"
        for found in models(model)
        for name, field in found.model_fields.items()
        if not field.description
    ]

    assert silent == []


def test_every_field_of_the_schemas_has_a_text() -> None:
    silent = [
        f"{kind}{path}"
        for kind, path, schema in ALL
        if not path.endswith("[]")
        and path not in {".metadata", ".metadata.name"}
        and "description" not in schema
    ]

    assert silent == []


def test_every_list_says_how_it_is_merged() -> None:
    lists = {
        f"{kind}{path}": schema.get(LIST_TYPE) for kind, path, schema in ALL if schema.get("type") == "array"
    }

    assert None not in lists.values()
    assert {path for path, merged in lists.items() if merged == "map"} == {
        "ModelDeployment.spec.serving.template.env",
        "ModelDeployment.spec.retraining.trainer.template.env",
        "ModelDeployment.status.signals",
        "ModelDeployment.status.conditions",
    }


def test_whole_numbers_have_64_bits() -> None:
    narrow = [
        f"{kind}{path}"
        for kind, path, schema in ALL
        if schema.get("type") == "integer" and schema["format"] != "int64"
    ]

    assert narrow == []


def test_instants_are_of_the_format_that_the_api_server_checks() -> None:
    instants = {path.rpartition(".")[2] for _, path, schema in ALL if schema.get("format") == "date-time"}

    assert {"since", "startedAt", "cooldownUntil", "lastTransitionTime", "createdAt"} <= instants


def test_nothing_that_modelmend_writes_has_a_default() -> None:
    claimed = [
        f"{kind}{path}"
        for kind, path, schema in ALL
        if "default" in schema and not (kind == "ModelDeployment" and path.startswith(".spec"))
    ]

    assert claimed == []


def test_choices_that_exclude_each_other_have_no_default() -> None:
    fields = {path: schema for kind, path, schema in ALL if kind == "ModelDeployment"}

    assert "default" not in fields[".spec.retraining.data.log"]
    assert "default" not in fields[".spec.retraining.data.dataset"]
    assert "default" not in fields[".spec.monitoring.signals[].minimum"]
    assert "default" not in fields[".spec.monitoring.signals[].maxDrop"]


def test_unknown_fields_are_kept_only_in_the_ledger() -> None:
    open_objects = [
        f"{kind}{path}" for kind, path, schema in ALL if "x-kubernetes-preserve-unknown-fields" in schema
    ]

    assert open_objects == ["ModelVersion.status.checkpoint.ledger"]


def test_every_rule_speaks_one_sentence() -> None:
    sentences = [rule["message"] for _, _, schema in ALL for rule in schema.get(VALIDATIONS, ())]

    assert sentences
    assert all(
        sentence.strip() == sentence and "\n" not in sentence and len(sentence) < 200
        for sentence in sentences
    )


def test_contract_types_are_described_field_by_field() -> None:
    assert set(resources.LABEL_DELAY) == set(LabelDelay.model_fields)
    assert set(resources.EVALUATION) == set(Evaluation.model_fields)


def test_schema_word_that_nobody_thought_about_is_an_error() -> None:
    class Odd(pydantic.BaseModel):
        field: int = pydantic.Field(json_schema_extra={"readOnly": True})

    with pytest.raises(ValueError, match="readOnly"):
        structural.schema_of(Odd, defaults=True)


# --------------------------------------------------------------------------------------------------- on the server
@pytest.mark.api
def test_crds_are_established_and_structural(crds: list[dict[str, Any]]) -> None:
    seen = {
        definition["spec"]["names"]["kind"]: {
            condition["type"]: condition["status"] for condition in definition["status"]["conditions"]
        }
        for definition in crds
    }

    assert seen == {
        "ModelDeployment": {"NamesAccepted": "True", "Established": "True"},
        "ModelVersion": {"NamesAccepted": "True", "Established": "True"},
    }


@pytest.mark.api
def test_server_keeps_the_schemas_as_they_are_written(crds: list[dict[str, Any]]) -> None:
    for kept in crds:
        file = ROOT / "crds" / f"modelmend.dev_{kept['spec']['names']['plural']}.yaml"
        assert kept["spec"]["versions"] == yaml.safe_load(file.read_text())["spec"]["versions"]
