"""Frozen models with some fields replaced: pydantic's `model_copy` takes a misspelt name without a word."""

from typing import Any, TypeVar

from pydantic import BaseModel

Model = TypeVar("Model", bound=BaseModel)


def change(model: Model, **fields: Any) -> Model:
    """The model with these fields replaced. Raises KeyError for a field it does not have."""
    for name in fields:
        type(model).model_fields[name]
    return model.model_copy(update=fields)
