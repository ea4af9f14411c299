"""Which types an artifact may bring to life. Called by `artifact.load` before anything is built.

skops builds only types on a list. Its own list holds scikit-learn's public estimators, numpy's dtypes and ufuncs;
below stand the private parts of those same estimators, found by dumping each classifier and its usual
pre-processing and asking `skops.io.get_untrusted_types`. The rest of the list is the operator's configuration. It
never comes from the artifact: a list that the attacker writes is no list.

Left out on purpose:
1. `KDTree`, `BallTree` and their distance metrics (nearest neighbours): compiled code that follows index arrays
   from the file unchecked. `KNeighborsClassifier(algorithm="brute")` needs none of them.
2. Functions (`FunctionTransformer`), except the ones named below: a function name in a file is a call.
3. `SplineTransformer`: its scipy splines are evaluated by compiled code from knots and orders of the file.
4. Other libraries (xgboost, lightgbm): their state is a file format of their own.

Tree nodes are arrays of indices as well, so `check_trees` walks them after loading: an index out of range would
read foreign memory and a cycle would never answer.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import skops.io
import skops.io.exceptions

from modelmend.runtime.errors import ArtifactError

DEFAULT: Final[tuple[str, ...]] = (
    # Histogram gradient boosting: one predictor per tree; `from_dtype` keeps partial(check_array) inside a
    # FunctionTransformer. A partial is as safe as its function, which is audited on its own.
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "functools.partial",
    "sklearn.utils.validation.check_array",
    # Trees, forests and classic gradient boosting.
    "sklearn.tree._tree.Tree",
    # Calibration, thresholds, neural networks: plain Python objects that hold arrays and numbers.
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.metrics._scorer._CurveScorer",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.metrics._classification.balanced_accuracy_score",
    "sklearn.utils._metadata_requests.MetadataRequest",
    "sklearn.utils._metadata_requests.MethodMetadataRequest",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    # Gaussian processes: kernels are formulas over arrays.
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Matern",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.RationalQuadratic",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
    # Stacking, voting and parameter searches: a dictionary with attributes, and how rows were split.
    "sklearn.utils._bunch.Bunch",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.model_selection._split.TimeSeriesSplit",
    # Imputation remembers a dtype; selection by score names one of these functions over arrays.
    "numpy.dtype",
    "sklearn.feature_selection._univariate_selection.chi2",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._mutual_info.mutual_info_classif",
    # Column choice by dtype, evaluated at fitting only.
    "sklearn.compose._column_transformer.make_column_selector",
)

PICKLE_BEGINNINGS: Final = (b"\x80", b"\x78", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"(lp", b"cos", b"c__")
"""First bytes of pickles, and of the compressed ones that joblib writes."""
ZIP_BEGINNING: Final = b"PK"


def build(content: bytes, name: str, trusted: Sequence[str]) -> Any:
    """The object in a skops file of that name. Raises ArtifactError; nothing is built unless all is trusted."""
    if not content.startswith(ZIP_BEGINNING):
        if content.startswith(PICKLE_BEGINNINGS):
            raise ArtifactError(
                f"{name} is a pickle (or joblib) file and Modelmend never unpickles: write the model "
                "with `modelmend pack`, or with skops.io.dump"
            )
        raise ArtifactError(f"{name} is not a skops file: write the model with `modelmend pack`")
    try:
        built = skops.io.loads(content, trusted=[*DEFAULT, *trusted])
    except skops.io.exceptions.UntrustedTypesFoundException:
        types = sorted(set(skops.io.get_untrusted_types(data=content)) - {*DEFAULT, *trusted})
        raise ArtifactError(
            f"{name} holds types that are not trusted ({_few(types)}): if you wrote them, add them to the "
            "operator's trustedTypes, else do not use this artifact"
        ) from None
    except (zipfile.BadZipFile, EOFError):
        raise ArtifactError(f"{name} is cut short or damaged: copy or pack the artifact again") from None
    except Exception as problem:
        # skops runs constructors of trusted types on whatever state the file gives: anything may come out.
        raise ArtifactError(
            f"{name} cannot be built ({type(problem).__name__}): it is damaged, or was written with a library that this "
            "image lacks; pack it again with the versions of this image"
        ) from problem
    check_trees(built, name)
    return built


def is_whole_zip(content: bytes) -> bool:
    """Whether a zip archive has its end: a file that was cut short has not."""
    return zipfile.is_zipfile(io.BytesIO(content))


def check_trees(built: Any, name: str) -> None:
    """Raises ArtifactError when a node of any tree points outside of its tree or back to an earlier node."""
    for part in _parts(built):
        kind = f"{type(part).__module__}.{type(part).__qualname__}"
        if kind == "sklearn.tree._tree.Tree":
            inner = part.children_left != -1
            children = np.stack([part.children_left[inner], part.children_right[inner]])
            own, size = np.flatnonzero(inner), part.node_count
            features_fit = bool(
                (part.feature[inner] >= 0).all() and (part.feature[inner] < part.n_features).all()
            )
        elif kind == "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor":
            inner = ~part.nodes["is_leaf"].astype(bool)
            # Unsigned indices; a stump has one node and it is a leaf.
            children = np.stack([part.nodes["left"][inner], part.nodes["right"][inner]]).astype(np.int64)
            own, size = np.flatnonzero(inner), len(part.nodes)
            features_fit = bool((part.nodes["feature_idx"][inner] >= 0).all())
        else:
            continue
        # Every builder of scikit-learn numbers children after their parent, so "later" rules out cycles.
        if not features_fit or (children <= own).any() or (children >= size).any():
            raise ArtifactError(
                f"{name} holds a tree whose nodes point outside of it: the file was tampered with; pack it again"
            )


def _parts(root: Any) -> Iterator[Any]:
    """Every object reachable through attributes and containers, each once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | type(None)):
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple | set):
            waiting.extend(part)
        elif isinstance(part, np.ndarray):
            if part.dtype == object:
                waiting.extend(part.ravel().tolist())
        else:
            waiting.extend(vars(part).values() if hasattr(part, "__dict__") else ())


def _few(types: Sequence[str]) -> str:
    shown = ", ".join(types[:5])
    return f"{shown} and {len(types) - 5} more" if len(types) > 5 else shown
