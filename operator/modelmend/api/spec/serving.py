"""How a model is reached and how much of it there is."""

from typing import Annotated

from pydantic import AfterValidator, Field

from modelmend.api.fields import SET, DnsName, Hostname, ObjectName, Strict, each_once
from modelmend.api.quantities import Cpu, Memory
from modelmend.api.spec.template import ServerTemplate


class ParentRef(Strict):
    """A Gateway to attach to."""

    name: ObjectName
    """Name of the Gateway."""
    namespace: DnsName | None = None
    """Namespace of the Gateway; this ModelDeployment's own when left out. The operator's configuration may limit it."""
    section_name: ObjectName | None = None
    """One listener of the Gateway; all of them when left out."""


class Gateway(Strict):
    """How the world reaches the model. Modelmend owns the HTTPRoute and its weights."""

    parent_ref: ParentRef
    """The Gateway to attach to."""
    hostnames: Annotated[
        tuple[Hostname, ...],
        Field(min_length=1, max_length=16, json_schema_extra=SET),
        AfterValidator(each_once),
    ]
    """Host names under which the model answers."""


class Resources(Strict):
    """CPU and memory of one server pod. A candidate's pod loads two models: its memory is doubled (not of a template's)."""

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
    template: ServerTemplate | None = None
    """A server of your own in place of the built-in one; its counters are named in spec.monitoring.metrics."""

    @property
    def pairs(self) -> bool:
        """Whether a candidate's pods hold the champion's model too: what they answer is compared pair by pair."""
        return self.template is None
