"""How a model is reached and how much of it there is."""

from typing import Annotated

from pydantic import AfterValidator, Field

from modelmend.api.fields import SET, DnsName, Hostname, ObjectName, Strict
from modelmend.api.quantities import Cpu, Memory


class ParentRef(Strict):
    """A Gateway to attach to."""

    name: ObjectName
    """Name of the Gateway."""
    namespace: DnsName | None = None
    """Namespace of the Gateway; this ModelDeployment's own when left out. The operator's configuration may limit it."""
    section_name: ObjectName | None = None
    """One listener of the Gateway; all of them when left out."""


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """What the API server makes sure of by itself: the list is a set."""
    if len(set(names)) < len(names):
        raise ValueError("each may stand once")
    return names


class Gateway(Strict):
    """How the world reaches the model. Modelmend owns the HTTPRoute and its weights."""

    parent_ref: ParentRef
    """The Gateway to attach to."""
    hostnames: Annotated[
        tuple[Hostname, ...],
        Field(min_length=1, max_length=16, json_schema_extra=SET),
        AfterValidator(_each_once),
    ]
    """Host names under which the model answers."""


class Resources(Strict):
    """CPU and memory of one server pod. A candidate's pod loads two models: its memory is doubled."""

    cpu: Cpu = "250m"
    """CPU request of a server pod. There is no CPU limit: throttling would look like a slow model."""
    memory: Memory = "512Mi"
    """Memory request and limit of a server pod."""


class Serving(Strict):
    """How the model is served."""

    replicas: Annotated[int, Field(ge=1, le=1000, strict=True)] = 1
    """Pods of the champion. A candidate gets its share of them. Without a gateway, up to so many more run while a
    candidate is tried: their number makes its share."""
    gateway: Gateway | None = None
    """How the world reaches the model. Modelmend owns the HTTPRoute and its weights. Left out: clients ask the Service
    named like the ModelDeployment, and a candidate's share is what the numbers of pods allow (status.split)."""
    resources: Resources = Resources()
    """CPU and memory of one server pod. A candidate's pod loads two models: its memory is doubled."""
