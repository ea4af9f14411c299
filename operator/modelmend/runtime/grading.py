"""When a predicted number is right, and how far it may be wrong: what a person said of a regressor, as counts.

Called by servers for each labelled row, and by targets for a holdout. `spec.evaluation.tolerance` and `errorBound`
arrive in the environment of every pod.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from modelmend.contract import environment, metrics
from modelmend.evidence import regression
from modelmend.runtime.errors import SettingsError

Errors = npt.NDArray[np.float64]
"""|prediction - truth| of n rows."""


@dataclass(frozen=True, slots=True)
class Grading:
    """tolerance: how far from the truth is still right. bound: up to which an error counts. Both above 0."""

    tolerance: float
    bound: float

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self | None:
        """None where nothing is said, as of a classifier. Raises SettingsError that names the variable."""
        if not environ.get(environment.TOLERANCE, "").strip():
            return None
        return cls(_positive(environ, environment.TOLERANCE), _positive(environ, environment.ERROR_BOUND))

    @property
    def same(self) -> float:
        """Errors that differ by no more than this are the same: nobody is farther from the truth."""
        return regression.SAME * self.tolerance

    def is_right(self, error: float) -> bool:
        return error <= self.tolerance

    def millionths(self, error: float) -> tuple[int, int]:
        """The error up to the bound, and its square, in millionths of the bound and of its square."""
        part = min(error / self.bound, 1.0)
        return round(part * metrics.MILLION), round(part * part * metrics.MILLION)

    def share(self, errors: Errors) -> float:
        """Of right ones."""
        return float((errors <= self.tolerance).mean())

    def measures(self, errors: Errors) -> dict[str, float]:
        """The accuracy, and of which tolerance it is."""
        return {"accuracy": self.share(errors), "tolerance": self.tolerance}

    def pair(self, candidate: float, champion: float) -> metrics.Paired:
        """One pair from the errors of both."""
        found = regression.farther(candidate, champion, self.same)
        if found.a:
            return metrics.Paired.CANDIDATE_ONLY_WRONG
        if found.b:
            return metrics.Paired.CHAMPION_ONLY_WRONG
        return metrics.Paired.BOTH_RIGHT if self.is_right(candidate) else metrics.Paired.BOTH_WRONG


def _positive(environ: Mapping[str, str], name: str) -> float:
    text = environ.get(name, "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise SettingsError(f"{name} is {text!r}: give a number above 0, or set none of both")
    return value
