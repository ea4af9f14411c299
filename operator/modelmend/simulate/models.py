"""The models that have pods, and what each would answer to any request."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from modelmend.runtime import artifact
from modelmend.runtime.errors import DataError
from modelmend.runtime.loaded import LoadedModel
from modelmend.simulate.replayed import Requests

CHUNK: Final = 8192
"""Rows that are predicted at once: a model answers for days, and a call costs as much as hundreds of rows."""


@dataclass
class _Answers:
    model: LoadedModel
    codes: npt.NDArray[np.int16]
    scores: npt.NDArray[np.float64]
    """The watched score of each row; NaN of a model without probabilities."""
    confidences: npt.NDArray[np.float64]
    """How sure it is of its answer to each row; NaN of a model without probabilities."""
    known: set[int] = field(default_factory=set)
    """Chunks that are predicted."""


@dataclass
class Models:
    """Loaded models by version."""

    requests: Requests
    trusted: tuple[str, ...] = ()
    _by_version: dict[str, _Answers] = field(default_factory=dict)

    def load(self, version: str, uri: str, digest: str) -> None:
        """What a pod does when it starts."""
        if version not in self._by_version:
            self.add(version, artifact.load(uri, digest, self.trusted))

    def add(self, version: str, model: LoadedModel) -> None:
        """A model that is loaded already."""
        rows = len(self.requests)
        unknown = np.full(rows, np.nan)
        self._by_version[version] = _Answers(model, np.zeros(rows, np.int16), unknown, unknown.copy())

    def unload(self, version: str) -> None:
        """Its pods are gone."""
        self._by_version.pop(version, None)

    def model(self, version: str) -> LoadedModel:
        """One that has pods."""
        return self._by_version[version].model

    def scores(self, version: str, begin: int, end: int) -> npt.NDArray[np.float64]:
        """The watched score that this version gives to each of the requests begin..end. Raises DataError."""
        self.codes(version, begin, end)
        return self._by_version[version].scores[begin:end]

    def confidences(self, version: str, begin: int, end: int) -> npt.NDArray[np.float64]:
        """How sure this version is of its answers to the requests begin..end. Raises DataError."""
        self.codes(version, begin, end)
        return self._by_version[version].confidences[begin:end]

    def codes(self, version: str, begin: int, end: int) -> npt.NDArray[np.int16]:
        """The class that this version answers to each of the requests begin..end. Raises DataError."""
        answers = self._by_version[version]
        for chunk in range(begin // CHUNK, -(-end // CHUNK)):
            if chunk not in answers.known:
                self._predict(version, answers, chunk)
        return answers.codes[begin:end]

    def _predict(self, version: str, answers: _Answers, chunk: int) -> None:
        part = slice(chunk * CHUNK, (chunk + 1) * CHUNK)
        columns = {name: values[part] for name, values in self.requests.columns.items()}
        model = answers.model
        try:
            found, probabilities = model.predict(model.frame(columns))
        except MemoryError:
            raise
        except Exception as problem:
            raise DataError(
                f"{version} cannot predict the replayed rows ({type(problem).__name__}): its pipeline refuses values that it was "
                "not fitted on; set handle_unknown on its encoders"
            ) from problem
        code = np.array([self.requests.classes.index(key) for key in model.class_keys], np.int16)
        answers.codes[part] = code[found]
        if probabilities is not None:
            answers.scores[part] = model.scores(probabilities)
            answers.confidences[part] = probabilities.max(axis=1)
        answers.known.add(chunk)
