"""Rows to bin counts, many features at once: what `LoadedModel.bins` does, prepared for the hot path.

`bins` of the artifact answers for one feature and prepares its look-up at each call; here everything that does not
depend on the rows is prepared once, and one `bincount` serves all features of a batch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelmend.contract.manifest import Datatype
from modelmend.runtime import artifact, reference

FEATURES_MAX: Final = 50
"""Features that are exported; the rest are named in the log. Each costs a dozen series per version and arm."""

_Index = Callable[[Any], npt.NDArray[np.intp]]


class Binner:
    """The exported histograms of one model, laid end to end in one array of counts."""

    def __init__(self, model: artifact.LoadedModel) -> None:
        names = [feature.name for feature in model.manifest.features]
        self.features: tuple[str, ...] = tuple(names[:FEATURES_MAX])
        self.left_out: tuple[str, ...] = tuple(names[FEATURES_MAX:])
        datatypes = {feature.name: feature.datatype for feature in model.manifest.features}
        self._indices: list[tuple[str, int, _Index]] = []
        self.bins: list[tuple[str, Sequence[str]]] = []
        """(feature, names of its bins), in the order of the counts."""
        self.size = 0
        for name in self.features:
            histogram = model.reference.features[name]
            self._indices.append((name, self.size, _index_of(histogram, datatypes[name])))
            self.bins.append((name, histogram.bins))
            self.size += len(histogram.bins)

    def count(self, columns: Mapping[str, Any]) -> npt.NDArray[np.intp]:
        """Counts of shape (size,) of n rows, one column of n values per feature."""
        found = [offset + index(columns[name]) for name, offset, index in self._indices]
        return np.bincount(np.concatenate(found), minlength=self.size) if found else np.zeros(0, np.intp)


def _index_of(histogram: reference.Numeric | reference.Categorical, datatype: Datatype) -> _Index:
    if isinstance(histogram, reference.Categorical):
        if datatype is Datatype.BOOL:
            # Categories are `false`, `true`; then other, which a flag never is, and missing.
            bins = {key: at for at, key in enumerate(histogram.bins)}
            return _Flags(bins["false"], bins["true"], bins[reference.MISSING])
        return histogram.index if datatype is not Datatype.BYTES else _Texts(histogram)
    return numeric_index(histogram)


def numeric_index(histogram: reference.Numeric) -> _Index:
    """`Numeric.index`, prepared: NaN sorts behind infinity, so one more edge there makes it the last bin."""
    edges = np.asarray([*histogram.edges, np.inf])

    def index(values: Any) -> npt.NDArray[np.intp]:
        return np.asarray(edges.searchsorted(values, side="left"))

    return index


class _Texts:
    def __init__(self, histogram: reference.Categorical) -> None:
        self._bins: dict[str | None, int] = {name: at for at, name in enumerate(histogram.categories)}
        self._bins[None] = len(histogram.categories) + 1
        self._other = len(histogram.categories)

    def __call__(self, values: Sequence[str | None]) -> npt.NDArray[np.intp]:
        bins, other = self._bins, self._other
        return np.fromiter((bins.get(value, other) for value in values), np.intp, len(values))


class _Flags:
    def __init__(self, false: int, true: int, missing: int) -> None:
        self._false, self._true, self._missing = false, true, missing

    def __call__(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
        known = np.where(values != 0, self._true, self._false)
        return np.where(np.isnan(values), self._missing, known)
