"""Requests that are answered with a sentence instead of a prediction.

    Refusal          any; `status` is the HTTP status, the message goes to the client as it is
    ├── BadRequest        400   the request is not what the model's signature asks for
    ├── NotFound          404   no such model, version or path here
    ├── TooLarge          413   the body, or the number of rows
    └── Unavailable       503   not now: loading, overloaded, no champion on this port; may be retried

A sentence names the input and the remedy, and never quotes more than a few characters of what the client sent.
"""

from typing import Final

RETRY_AFTER_SECONDS: Final = 1


class Refusal(Exception):
    """A sentence for the client, and the HTTP status that it travels under."""

    status = 500

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        if status is not None:
            self.status = status


class BadRequest(Refusal):
    """The request is not what the model's signature asks for."""

    status = 400


class NotFound(Refusal):
    """No such model, version or path here."""

    status = 404


class TooLarge(Refusal):
    """The body or the number of rows is over the limit."""

    status = 413


class Unavailable(Refusal):
    """Not now; the answer carries Retry-After."""

    status = 503


def excerpt(value: object, limit: int = 40) -> str:
    """A short quotation of what a client sent: enough to find it, too little to flood a log."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
