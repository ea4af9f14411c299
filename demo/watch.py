"""Follows one ModelDeployment and remembers what it went through, for the live view and the report."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Moment:
    """What the status said, and when we saw it (seconds since the epoch)."""

    at: float
    stage: str
    because: str
    stable: str | None
    candidate: str | None
    phase: str | None
    weight: int


@dataclass
class Story:
    """Everything seen so far."""

    moments: list[Moment] = field(default_factory=list)
    latest: dict[str, Any] = field(default_factory=dict)

    def take(self, body: dict[str, Any]) -> None:
        """One object as the API server sent it."""
        self.latest = body
        status = body.get("status", {})
        candidate = status.get("candidate") or {}
        moment = Moment(
            at=time.time(),
            stage=status.get("stage", "-"),
            because=status.get("because", ""),
            stable=(status.get("stable") or {}).get("version"),
            candidate=candidate.get("version"),
            phase=candidate.get("phase"),
            weight=candidate.get("weight", 0),
        )
        if not self.moments or (
            moment.stage,
            moment.stable,
            moment.candidate,
            moment.phase,
            moment.weight,
        ) != (
            self.moments[-1].stage,
            self.moments[-1].stable,
            self.moments[-1].candidate,
            self.moments[-1].phase,
            self.moments[-1].weight,
        ):
            self.moments.append(moment)

    def spans(self, wanted: str) -> list[tuple[float, float]]:
        """Begin and end of each time the stage was `wanted`."""
        found: list[tuple[float, float]] = []
        for moment, following in zip(self.moments, [*self.moments[1:], None], strict=True):
            if moment.stage == wanted:
                end = following.at if following else time.time()
                if found and found[-1][1] == moment.at:
                    found[-1] = (found[-1][0], end)
                else:
                    found.append((moment.at, end))
        return found


def heals(story: Story) -> list[str]:
    """Versions that went breach -> Job -> gate -> shadow -> canary -> promotion, in order.

    A version counts only if each of those stages was seen for it, and it was stable afterwards.
    """
    healed = []
    for version in dict.fromkeys(moment.candidate for moment in story.moments if moment.candidate):
        places = [place for place, moment in enumerate(story.moments) if moment.candidate == version]
        seen = {moment.stage for moment in story.moments if moment.candidate == version}
        before = [moment.stage for moment in story.moments[: places[0]]]
        became_stable = any(moment.stable == version for moment in story.moments[places[0] :])
        if {"Shadow", "Canary", "Promoting"} <= seen and "Retraining" in before[-6:] and became_stable:
            healed.append(version)
    return healed


async def follow(kubectl: Path, kubeconfig: Path, namespace: str, name: str, story: Story) -> None:
    """Feeds `story` from a watch until cancelled; a watch that ends is begun again."""
    decoder = json.JSONDecoder()
    while True:
        process = await asyncio.create_subprocess_exec(
            *(str(kubectl), f"--kubeconfig={kubeconfig}", "-n", namespace),
            *("get", "modeldeployment", name, "--watch", "-o", "json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None
            text = ""
            while chunk := await process.stdout.read(65536):
                text = (text + chunk.decode()).lstrip()
                while text:
                    try:
                        body, end = decoder.raw_decode(text)
                    except json.JSONDecodeError:
                        break
                    story.take(body)
                    text = text[end:].lstrip()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        await asyncio.sleep(0.5)
