"""What may go wrong between us and the API server, as few kinds as there are answers to it.

ApiError                 every answer that is not a success; a sentence
├── Conflict             the object moved on, or has that name already: look again
│   └── Exists           a POST found the name taken
├── Missing              no such object, or no such kind
├── Refused              RBAC, quota, admission or schema says no: a person must help, trying again does not
└── Unavailable          429, 5xx, no connection, no answer in time: try again later
Fenced                   not the leader any more, or not for certain: nothing was sent
"""


class ApiError(Exception):
    """An answer that is not a success. The text is one sentence that names the request and the object."""

    def __init__(self, sentence: str, *, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.retry_after = retry_after
        """Seconds that the server asked us to wait."""


class Conflict(ApiError):
    """409: a precondition failed."""


class Exists(Conflict):
    """409 AlreadyExists."""


class Missing(ApiError):
    """404."""


class Refused(ApiError):
    """400, 403, 413, 422."""


class Unavailable(ApiError):
    """401 (a token is being replaced), 429, 5xx, or no answer at all."""


class Fenced(Exception):
    """A write that was not sent, because the lease may belong to somebody else by now."""
