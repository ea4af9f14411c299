"""Ranges that several fields share."""

from typing import Annotated

from pydantic import Field

Fraction = Annotated[float, Field(gt=0, lt=1, strict=True)]
Count = Annotated[int, Field(ge=1, le=10_000_000, strict=True)]
Percent = Annotated[int, Field(ge=1, le=100, strict=True)]
Alpha = Annotated[float, Field(ge=0.0001, le=0.5, strict=True)]
