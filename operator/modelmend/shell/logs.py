"""One JSON object per line on standard error, for people and for whatever collects them."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any


class Json(logging.Formatter):
    """time, level, logger, message, and the `fields` that a call gave (`extra={"fields": {…}}`)."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {
            name: str(value) for name, value in getattr(record, "fields", {}).items() if value is not None
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: str) -> None:
    """Everything to standard error; kopf's line for each event to nowhere."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Why it ended is told by shell.watch, in one line; kopf would print a traceback for each kind that it watched.
    logging.getLogger("kopf").setLevel(logging.CRITICAL)
    for name in ("asyncio", "aiohttp", "urllib3", "kubernetes", "prometheus_api_client"):
        logging.getLogger(name).setLevel(logging.WARNING)
