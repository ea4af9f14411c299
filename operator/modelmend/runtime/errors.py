"""Everything that model pods refuse, as one sentence that names the object, the field and the remedy.

    SentenceError           caught at the edge of every command: it becomes the Job's result, or a log line
    ├── StoreError          a URI cannot be read, written, listed or deleted
    ├── ArtifactError       an artifact is missing, damaged, of another version, or not trusted
    ├── SettingsError       an environment variable or argument is missing or makes no sense
    └── DataError           the rows do not allow a model to be fitted or compared

Anything else that escapes is a bug of ours: it is reported as one, and its traceback goes to the log only.
"""


class SentenceError(Exception):
    """One sentence for a person. Never holds a credential, a traceback or a value of a training row."""


class StoreError(SentenceError):
    """A URI cannot be read, written, listed or deleted."""


class NotFoundError(StoreError):
    """Nothing lies at the URI: for some callers that is an answer."""


class ArtifactError(SentenceError):
    """An artifact is missing, damaged, of another version, or not trusted."""


class SettingsError(SentenceError):
    """An environment variable or an argument is missing or makes no sense."""


class DataError(SentenceError):
    """The rows do not allow a model to be fitted or compared."""
