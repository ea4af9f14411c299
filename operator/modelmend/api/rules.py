"""Rules that a schema's own words cannot say: one sentence, told to the API server in CEL and to Python as a predicate.

Both halves stand side by side, so that a reader sees that they agree, and tests/api runs the same bad inputs
through both. A rule guards a whole model (in its `RULES`) or one field (in its `Annotated`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

VALIDATIONS: Final = "x-kubernetes-validations"
"""Where a schema keeps its CEL."""
LIST_TYPE: Final = "x-kubernetes-list-type"
LIST_KEYS: Final = "x-kubernetes-list-map-keys"


def _always(_: Any) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold of every object that is stored.

    Raises ValueError with the sentence when used as a pydantic annotation and the value breaks it.
    """

    cel: str
    """Over `self`; on the API server."""
    sentence: str
    """What a person reads when it is broken: what is wrong, and what to write instead."""
    holds: Callable[[Any], bool] = _always
    """The same in Python; left out for a rule about a change (`oldSelf`), which only the API server can see."""
    field: str | None = None
    """Path below the guarded model that the API server names, such as `.retention`; the model itself when left out."""

    def check(self, value: Any) -> Any:
        """The value, when the rule holds of it."""
        if not self.holds(value):
            raise ValueError(self.sentence)
        return value

    def to_object(self) -> dict[str, str]:
        """As it stands in a CRD."""
        said = {"rule": self.cel, "message": self.sentence}
        return said if self.field is None else {**said, "fieldPath": self.field}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found = handler(schema)
        found[VALIDATIONS] = [*found.get(VALIDATIONS, ()), self.to_object()]
        return found


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression for the whole text, with the sentence that a person reads when it does not match.

    The schema carries it twice: as `pattern`, which editors and linters of GitOps repositories know, and as CEL,
    because the API server's own words for a pattern are the pattern. Written in what RE2 and Python share; no
    `\\s`, `\\d` or `$` after a newline, which they read differently.
    """

    regex: str
    sentence: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._rule().check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found = handler(schema)
        found["pattern"] = self.regex
        found[VALIDATIONS] = [*found.get(VALIDATIONS, ()), self._rule().to_object()]
        return found

    def _rule(self) -> Rule:
        return Rule(
            cel=f"self.matches({quoted(self.regex)})",
            sentence=self.sentence,
            holds=lambda value: whole(self.regex, value),
        )


def whole(regex: str, text: str) -> bool:
    """Whether an anchored regular expression matches as it does in Go: `$` is the very end, `^` the very start."""
    return re.fullmatch(regex.removeprefix("^").removesuffix("$"), text) is not None


def quoted(text: str) -> str:
    """A CEL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
