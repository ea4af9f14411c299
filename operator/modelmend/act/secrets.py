"""The key that signs prediction ids: made once, at random, and never read back.

Only its metadata is ever fetched, so that no key stands in this process's memory, caches or logs.
"""

import secrets
from typing import Final

LENGTH: Final = 32
"""Bytes of the key (HMAC-SHA256)."""


def key() -> bytes:
    """A new key."""
    return secrets.token_bytes(LENGTH)
