"""What the server says: one JSON object a line on standard error, for people and for log collectors.

No request, no row and no token is ever logged: access is counted in metrics, contents go to the prediction log.
"""

import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

THROTTLE_SECONDS: Final = 60.0
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",
    "taskName",
}


class JsonFormatter(logging.Formatter):
    """Time, level, logger, message, whatever was given in `extra`, and a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def configure(level: int = logging.INFO) -> None:
    """Everything that this process logs becomes JSON lines on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Its notices ("Shutting down") repeat ours; its errors are news.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.captureWarnings(capture=True)


class Throttle:
    """Says the first of many like failures at once, then at most one a minute with the number unsaid."""

    def __init__(
        self,
        logger: logging.Logger,
        seconds: float = THROTTLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._seconds = seconds
        self._clock = clock
        self._said: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def warning(self, message: str, *args: object) -> None:
        """A warning, if it is due."""
        self._say(logging.WARNING, message, args, traceback=False)

    def exception(self, message: str, *args: object) -> None:
        """An error with the traceback of the exception being handled, if it is due."""
        self._say(logging.ERROR, message, args, traceback=True)

    def _say(self, level: int, message: str, args: tuple[object, ...], *, traceback: bool) -> None:
        now = self._clock()
        last = self._said.get(message)
        if last is not None and now - last < self._seconds:
            self._unsaid[message] = self._unsaid.get(message, 0) + 1
            return
        self._said[message] = now
        unsaid = self._unsaid.pop(message, 0)
        self._logger.log(
            level, message, *args, exc_info=traceback, extra={"unsaid": unsaid} if unsaid else None
        )
