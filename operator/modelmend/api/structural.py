"""From pydantic's JSON schema to the structural OpenAPI v3 schema that a CRD may hold.

What pydantic writes and Kubernetes refuses, and what becomes of it:

1. `$ref` and `$defs`: inlined.
2. `anyOf: [X, null]`: X; a field that may be unset is a field that may be left out.
3. `exclusiveMinimum: 0`: `minimum: 0, exclusiveMinimum: true`, as OpenAPI 3.0 has it.
4. `const`: an enum of one.
5. `additionalProperties: false` beside `properties`: gone; the API server refuses unknown fields by itself.
6. `title`: gone; it only repeats the name.

And what Kubernetes wants and pydantic does not know: list types, number formats, CEL, defaults that the API
server can apply level by level.
"""

from datetime import timedelta
from enum import Enum
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from modelmend.api.fields import Lenient, Strict, format_duration
from modelmend.api.rules import LIST_TYPE, VALIDATIONS

Schema = dict[str, Any]

_ORDER: Final = (
    "description", "type", "format", "default", "enum", "pattern", "minLength", "maxLength", "minimum",
    "exclusiveMinimum", "maximum", "exclusiveMaximum", "minItems", "maxItems", "maxProperties", LIST_TYPE,
    "x-kubernetes-list-map-keys", "required", "properties", "items", "additionalProperties",
    "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-map-type", VALIDATIONS,
)  # fmt: skip
"""In which order a schema's words are written. A word that is missing here is one that nobody thought about."""


def schema_of(model: type[BaseModel], *, defaults: bool) -> Schema:
    """The structural schema of a model.

    With `defaults` the API server fills in what is left out. What Modelmend writes itself has none: a default in
    a status would be a claim that nobody made.
    """
    drawn = model.model_json_schema(by_alias=True, schema_generator=_Drawing)
    return _structural(drawn, drawn.get("$defs", {}), defaults=defaults)


class _Drawing(GenerateJsonSchema):
    """Pydantic's own drawing, with what only the Python types know."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        drawn = super().model_schema(schema)
        model = schema["cls"]
        if issubclass(model, Strict | Lenient) and model.RULES:
            drawn[VALIDATIONS] = [rule.to_object() for rule in model.RULES]
        return drawn

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        return {**super().int_schema(schema), "format": "int64"}

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return {**super().float_schema(schema), "format": "double"}

    def encode_default(self, dft: Any) -> Any:
        """A default as somebody would write it, with what has a default of its own left out.

        The API server applies a default only inside of an object that exists, so an object's default is `{}` and
        its fields bring theirs: one truth for each number, wherever the person stops writing.
        """
        match dft:
            case BaseModel():
                return _as_written(dft)
            case tuple():
                return [self.encode_default(item) for item in dft]
            case timedelta():
                return format_duration(dft)
            case Enum():
                return dft.value
            case _:
                return dft


def _as_written(value: BaseModel) -> Schema:
    required = [field for field in type(value).model_fields.values() if field.is_required()]
    if not required and value == type(value)():
        return {}
    return value.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _structural(node: Schema, definitions: Schema, *, defaults: bool) -> Schema:
    if "$ref" in node:
        beside = {word: said for word, said in node.items() if word != "$ref"}
        node = {**definitions[node["$ref"].removeprefix("#/$defs/")], **beside}
    found: Schema = {}
    for word, said in node.items():
        match word:
            case "title" | "$defs":
                pass
            case "description":
                found[word] = " ".join(said.split())
            case "default":
                if defaults and said is not None:
                    found[word] = said
            case "const":
                found["enum"] = [said]
            case "exclusiveMinimum" | "exclusiveMaximum" if not isinstance(said, bool):
                found[word.removeprefix("exclusive").lower()] = said
                found[word] = True
            case "properties":
                found[word] = {
                    name: _structural(field, definitions, defaults=defaults) for name, field in said.items()
                }
            case "items":
                found[word] = _structural(said, definitions, defaults=defaults)
                found.setdefault(LIST_TYPE, "atomic")
            case "additionalProperties":
                if said is True:
                    found["x-kubernetes-preserve-unknown-fields"] = True
                    # One value to whoever applies it: its keys (processes, signals) would fill managedFields.
                    found["x-kubernetes-map-type"] = "atomic"
                elif said is not False:
                    found[word] = _structural(said, definitions, defaults=defaults)
            case _:
                found[word] = said
    _mind_the_fractions(found)
    if unknown := found.keys() - set(_ORDER):
        raise ValueError(
            f"{sorted(unknown)}: no rule says what the API server makes of these words of a schema"
        )
    return dict(sorted(found.items(), key=lambda entry: _ORDER.index(entry[0])))


def _mind_the_fractions(field: Schema) -> None:
    """Say fractional bounds in CEL too: the API server cuts them to integers for a value written without a point.

    Tried: `minimum: 0.05` lets 0 pass, and `maximum: 0.5, exclusiveMaximum: true` refuses 0, so that one goes.
    """
    if field.get("type") != "number":
        return
    rules = []
    least, most = field.get("minimum", 0), field.get("maximum", 0)
    if least != int(least):
        above = ">" if field.get("exclusiveMinimum") else ">="
        rules.append({"rule": f"self {above} {least}", "message": f"must be {_WORDS[above]} {least}"})
    if most != int(most) and field.get("exclusiveMaximum"):
        rules.append({"rule": f"self < {most}", "message": f"must be {_WORDS['<']} {most}"})
        del field["maximum"], field["exclusiveMaximum"]
    if rules:
        field[VALIDATIONS] = [*field.get(VALIDATIONS, ()), *rules]


_WORDS: Final = {">": "more than", ">=": "at least", "<": "less than"}
