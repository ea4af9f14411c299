"""A model in memory, and the ways in and out of it: load, smoke test, unload, load again.

    empty ──load──> ready ──unload──> away ──reload──> ready
      └─ ArtifactError: the process ends with the sentence; StoreError: tried again until the deadline

Loading runs in a thread. What is known of a model (signature, classes, reference) outlives it in memory, since
feedback and metrics need it after the estimator is gone.
"""

import asyncio
import ctypes
import gc
import logging
import time
from pathlib import Path

from modelmend.runtime import artifact, errors, loaded
from modelmend.runtime.server import background
from modelmend.runtime.server.refusals import Unavailable
from modelmend.runtime.server.settings import ModelRef

_log = logging.getLogger(__name__)
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 15.0


class Slot:
    """Room for one model. All methods but `require` belong to the event loop."""

    def __init__(self, reference: ModelRef, trusted: tuple[str, ...], cache: Path | None) -> None:
        self.reference = reference
        self._trusted = trusted
        self._cache = cache
        self._model: loaded.LoadedModel | None = None
        self._reloading: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the model is in memory and passed its smoke test."""
        return self._model is not None

    def require(self) -> loaded.LoadedModel:
        """The model; Unavailable while it is not in memory. Any thread may ask."""
        model = self._model
        if model is None:
            raise Unavailable(f"version {self.reference.life.version} is being loaded: try again in a moment")
        return model

    async def load(self, seconds: float) -> loaded.LoadedModel:
        """Loads, verifies and tries the model. StoreError when it cannot be fetched within `seconds`; ArtifactError
        at once, since an artifact never changes."""
        deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
        while True:
            try:
                self._model = await background.in_daemon("load", self._load)
                return self._model
            except errors.StoreError as error:
                if time.monotonic() + pause > deadline:
                    raise
                _log.warning("%s; trying again in %g s", error, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def unload(self) -> None:
        """Gives the model's memory back; calls that run keep theirs until they return."""
        if self._reloading is None:
            self._model = None
            # Frozen at start (see process): what only cycles keep would else stay for ever.
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            _trim()
            _log.info("version %s left memory", self.reference.life.version)

    def reload(self, seconds: float) -> None:
        """Starts to load a model that left, once; `is_ready` tells when it is back."""
        if self._model is None and self._reloading is None:
            self._reloading = asyncio.get_running_loop().create_task(self._reload(seconds))

    async def _reload(self, seconds: float) -> None:
        try:
            await self.load(seconds)
        except errors.SentenceError as error:
            _log.error("version %s cannot be loaded again: %s", self.reference.life.version, error)
        finally:
            self._reloading = None

    def _load(self) -> loaded.LoadedModel:
        began = time.monotonic()
        reference = self.reference
        model = artifact.load(reference.uri, reference.digest, self._trusted, self._cache)
        model.smoke()
        _log.info(
            "version %s is loaded",
            reference.life.version,
            extra={"digest": model.digest, "seconds": round(time.monotonic() - began, 3)},
        )
        return model


def _trim() -> None:
    """Asks glibc to return freed pages to the system; elsewhere the allocator does as it likes."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        _log.debug("this C library has no malloc_trim")
