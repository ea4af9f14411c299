"""The Secret with the key that signs prediction ids. `act` creates it for EnsureKey and never reads it back."""

import base64
from typing import Final

from modelmend.api import names, resources
from modelmend.render import child

KEY: Final = "key"
"""The one entry of the Secret, and the file name where it is mounted."""


def manifest(owner: resources.ModelDeployment, key: bytes) -> child.Manifest:
    """The Secret. Immutable: another key would make every prediction id that is still out invalid.

    It carries no copy of itself: an annotation is read by far more people than a Secret.
    """
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": child.metadata(
            owner,
            names.feedback_secret(owner.metadata.name),
            names.labels(owner.metadata.name, "feedback"),
        ),
        "type": "Opaque",
        "immutable": True,
        "data": {KEY: base64.b64encode(key).decode()},
    }
