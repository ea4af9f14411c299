"""The operator's own figures. Counted here, shown by shell as Prometheus metrics."""

from collections.abc import Mapping
from typing import Protocol

from modelmend.api import resources
from modelmend.evidence import quality


class Telemetry(Protocol):
    """Told what happens. Every method is quick and never fails."""

    def reconciled(self, result: str, seconds: float) -> None:
        """A look ended: `ok`, `conflict`, `refused`, `unavailable`, `fenced`, `invalid` or `error`."""

    def acted(self, action: str) -> None:
        """An action was carried out."""

    def polled(self, seconds: float, problem: str | None, at: float) -> None:
        """A poll of Prometheus ended."""

    def leads(self, leads: bool) -> None:
        """Leading began or ended."""

    def shows(self, owner: resources.ModelDeployment, shown: Mapping[str, quality.Figures]) -> None:
        """The status of a ModelDeployment as it stands now, and what its signals show, by name."""

    def forgets(self, namespace: str, name: str) -> None:
        """A ModelDeployment is gone."""
