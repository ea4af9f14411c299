"""An explanation for a terminal, and for programs."""

import json
from dataclasses import asdict

from modelmend.advise.explaining import Explanation


def text(found: Explanation) -> str:
    """A few lines, the most important first."""
    lines = [f"{found.namespace}/{found.name}: {found.stage}", f"  {found.because}"]
    for heading, sentences in (
        ("waits for", found.waits),
        ("would change its mind", found.turns),
        ("you could", tuple(f"{way.what}: {way.how}" for way in found.ways)),
        ("note", found.notes),
    ):
        if sentences:
            lines += ["", f"{heading}:", *(f"  - {sentence}" for sentence in sentences)]
    return "\n".join(lines)


def as_json(found: Explanation) -> str:
    """The same, for programs."""
    body = asdict(found)
    said = {
        "wouldChangeItsMind": body.pop("turns"),
        "waitsFor": body.pop("waits"),
        "youCould": body.pop("ways"),
    }
    return json.dumps(body | said, indent=2)
