"""Where artifacts, logs and datasets may lie: storage that every pod can reach, and nothing else.

A scheme is allowed by name. Whatever else fsspec can open (file, memory, http, ssh, a chain of them) is one
machine's own, or unencrypted, or both, and would fail in a Job long after `kubectl apply`.
"""

from typing import Annotated, Final

from pydantic import Field

from modelmend.api.rules import Pattern, Rule, quoted, whole

_PATH: Final = r"(/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?"
"""RFC 3986's path: no query and no fragment, where signed URLs keep their credentials."""
_CLAIM: Final = rf"pvc://[a-z0-9]([-a-z0-9]{{0,61}}[a-z0-9])?{_PATH}"
_BUCKET: Final = rf"(s3|gs|abfs)://[A-Za-z0-9][A-Za-z0-9.@_-]*{_PATH}"
_WEB: Final = rf"https://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{{1,5}})?{_PATH}"
_CLIMBS: Final = r"^.*/\.\.?(/.*)?$"

READABLE_PATTERN: Final = f"^({_CLAIM}|{_BUCKET}|{_WEB})$"
WRITABLE_PATTERN: Final = f"^({_CLAIM}|{_BUCKET})$"


def _spelt(schemes: str, pattern: str) -> Rule:
    return Rule(
        cel=f"!self.matches({quoted(schemes)}) || self.matches({quoted(pattern)})",
        sentence="must name a claim, a bucket or a host and then a plain path: no query, no credentials, no spaces",
        holds=lambda uri: not whole(schemes, uri) or whole(pattern, uri),
    )


_STAYS_BELOW: Final = Rule(
    cel=f"!self.matches({quoted(_CLIMBS)})",
    sentence="must have no . or .. in its path",
    holds=lambda uri: not whole(_CLIMBS, uri),
)

_READABLE: Final = "^(pvc|s3|gs|abfs|https)://.+$"
_WRITABLE: Final = "^(pvc|s3|gs|abfs)://.+$"
"""What the schema shows as `pattern`: short, because the API server prints it at the person."""

ReadableUri = Annotated[
    str,
    Field(max_length=1024),
    Pattern(
        _READABLE,
        "must be pvc://claim/path, s3://, gs://, abfs:// or https://: a path of one machine is out of the pods' reach",
    ),
    _spelt(_READABLE, READABLE_PATTERN),
    _STAYS_BELOW,
]

WritableUri = Annotated[
    str,
    Field(max_length=1024),
    Pattern(_WRITABLE, "must be writable from every pod: pvc://claim/path, s3://, gs:// or abfs://"),
    _spelt(_WRITABLE, WRITABLE_PATTERN),
    _STAYS_BELOW,
]
