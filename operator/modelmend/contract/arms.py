"""Which port of a server answers with which model.

The port picks the arm, so that a route's backend reference moves traffic between arms at once: no restart,
no header that a client could forge, no second hop.
"""

from enum import StrEnum
from typing import Final


class Arm(StrEnum):
    """Who answers, and who is scored beside."""

    SOLO = "solo"
    """The pod's own model answers alone."""
    SHADOW = "shadow"
    """The champion's prediction is answered; candidate and champion are both scored."""
    CANARY = "canary"
    """The candidate's prediction is answered; candidate and champion are both scored."""


PORTS: Final[dict[Arm, int]] = {Arm.SOLO: 8080, Arm.SHADOW: 8081, Arm.CANARY: 8082}
METRICS_PORT: Final = 8090
"""Metrics have a port of their own: a route exposes predictions to the world, never the counters."""
METRICS_PORT_NAME: Final = "metrics"
