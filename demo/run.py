"""Everything a report is made of; kept beside it, so that anybody can look closer than the report does.

requests.csv.gz   one row for each flight: when it was sent, how long the answer took, whether it was right
run.json          the rest: what the status said and when, the versions, how long each step took
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from demo.replay import Record
from demo.story import Heal, Moment, Moved, Span, Story, Word, heals, moved


@dataclass(frozen=True)
class Step:
    """One step before the replay."""

    what: str
    seconds: float
    fetched: tuple[str, ...] = ()
    """What it had to build or fetch, which the next run finds in the cache. Nothing: it was warm."""


@dataclass(frozen=True)
class Recording:
    """What became of the operator's decisions when they were decided again."""

    decisions: int = 0
    differing: int = 0
    size: int = 0
    """Bytes."""
    seconds: float = 0.0
    """How long deciding again took."""
    said: str = ""
    """What `modelmend replay` said, or why there was nothing to decide again."""


@dataclass(frozen=True)
class Run:
    """One run of the demo, from its first request to its last truth."""

    time: "pd.Series[pd.Timestamp]"
    """When each flight left."""
    record: Record
    story: Story
    versions: list[dict[str, Any]]
    """The ModelVersions at the end, by number."""
    worse_digest: str
    """The artifact that was meant to be refused."""
    begun: float
    """First request, in seconds since the epoch."""
    ended: float
    """The story's end, a few seconds after the last truth."""
    seconds: float
    """From the first request to the last truth."""
    rate: float
    delay: float
    minimum: float
    """The accuracy the ModelDeployment asks for."""
    labelled: int
    failures: list[str]
    """Requests and feedback that failed, a line each."""
    troubles: list[str] = field(default_factory=list)
    """What the demo itself could not do."""
    steps: tuple[Step, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    """What ran: Kubernetes, scikit-learn, the machine."""
    recording: Recording = Recording()
    made_on: str = ""

    @property
    def heals(self) -> list[Heal]:
        return heals(self.story, self.ended)

    def moved(self, heal: Heal) -> Moved:
        """Whether the inputs, or the relation from them to the outcome, had moved."""
        return moved(self.story, heal)

    def days(self, moments: list[float]) -> list[pd.Timestamp]:
        """Which flight's time the replay stood at, at those moments."""
        sent = self.record.sent[: self.record.at]
        places = np.clip(np.searchsorted(sent, moments), 0, len(sent) - 1)
        return [self.time.iloc[place] for place in places]

    def sent_within(self, spans: list[Span], settle: float = 0.0) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which requests were sent in one of the spans, or in the `settle` seconds after it."""
        sent = self.record.sent
        chosen = np.zeros(len(sent), bool)
        for begin, end in spans:
            chosen |= (sent >= begin) & (sent < end + settle)
        return chosen

    def save(self, folder: Path) -> None:
        """Both files."""
        pd.DataFrame(
            {
                "time": self.time.array,
                "sent": self.record.sent,
                "latency": self.record.latency,
                "truth": self.record.truth,
                "right": self.record.right.astype(int),
                "frozen_right": self.record.frozen_right.astype(int),
            }
        ).to_csv(folder / "requests.csv.gz", index=False)
        kept = {
            named.name: getattr(self, named.name)
            for named in dataclasses.fields(self)
            if named.name not in ("time", "record", "story", "recording", "steps")
        }
        kept["errors"] = self.record.errors
        kept["moments"] = [dataclasses.asdict(moment) for moment in self.story.moments]
        kept["words"] = [dataclasses.asdict(word) for word in self.story.words]
        kept["recording"] = dataclasses.asdict(self.recording)
        kept["steps"] = [dataclasses.asdict(step) for step in self.steps]
        (folder / "run.json").write_text(json.dumps(kept, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote."""
        rows = pd.read_csv(folder / "requests.csv.gz", parse_dates=["time"])
        kept = json.loads((folder / "run.json").read_text())
        record = Record(
            truth=rows["truth"].to_numpy(),
            frozen_right=rows["frozen_right"].to_numpy(bool),
            right=rows["right"].to_numpy(bool),
            sent=rows["sent"].to_numpy(),
            latency=rows["latency"].to_numpy(),
            at=len(rows),
            errors=kept.pop("errors"),
        )
        story = Story(
            [Moment(**moment) for moment in kept.pop("moments")],
            [Word(**{**word, "drifted": tuple(word["drifted"])}) for word in kept.pop("words", ())],
        )
        steps = tuple(
            Step(step["what"], step["seconds"], tuple(step["fetched"])) for step in kept.pop("steps")
        )
        recording = Recording(**kept.pop("recording"))
        return cls(time=rows["time"], record=record, story=story, steps=steps, recording=recording, **kept)
