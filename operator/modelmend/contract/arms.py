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


class Side(StrEnum):
    """Which ports a pod's arms have. On the paired ports of the other side it answers alone.

    A Service has one port for all pods behind it. Where it is the Service that splits traffic, champion and candidate
    are of different sides: the candidate's shadow or canary port means "alone" to the champion's pods, even if those
    once were a candidate's and hold a second model themselves.
    """

    LEFT = "left"
    RIGHT = "right"

    @property
    def other(self) -> "Side":
        return Side.RIGHT if self is Side.LEFT else Side.LEFT


SIDES: Final[dict[Side, dict[Arm, int]]] = {
    Side.LEFT: PORTS,
    Side.RIGHT: {Arm.SOLO: 8080, Arm.SHADOW: 8083, Arm.CANARY: 8084},
}


def at(port: int, side: Side) -> Arm | None:
    """The arm that a pod of this side has on a port."""
    own = {number: arm for arm, number in SIDES[side].items()}
    return own.get(port, Arm.SOLO if port in SIDES[side.other].values() else None)


def alone(side: Side) -> tuple[int, ...]:
    """Ports of the other side, on which a pod answers alone."""
    return tuple(port for arm, port in SIDES[side.other].items() if arm is not Arm.SOLO)


METRICS_PORT: Final = 8090
"""Metrics have a port of their own: a route exposes predictions to the world, never the counters."""
METRICS_PORT_NAME: Final = "metrics"
