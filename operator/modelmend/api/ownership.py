"""Who controls an object, as its owner references tell. Asked by observe of what it sees, and by act of what it meets."""

from typing import Any


def is_controlled_by(live: dict[str, Any], uid: str) -> bool:
    """Whether the object's controller has this uid."""
    return any(
        reference.get("controller") and reference.get("uid") == uid
        for reference in live["metadata"].get("ownerReferences") or ()
    )


def controller(live: dict[str, Any]) -> str:
    """Who controls an object: `Deployment web`, or `nobody`."""
    for reference in live["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return f"{reference['kind']} {reference['name']}"
    return "nobody"
