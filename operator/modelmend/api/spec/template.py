"""Images of the user's own: what runs in them. How they run (user, mounts, limits) is Modelmend's business."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from modelmend.api.fields import MAP_BY_NAME, SET, ObjectName, Strict, each_once
from modelmend.api.rules import Pattern, Rule

VariableName = Annotated[
    str,
    Field(max_length=253),
    Pattern(
        r"^[A-Za-z_][A-Za-z0-9_]*$",
        "must be the name of an environment variable: letters, digits and _, no digit at the beginning",
    ),
    Rule(
        cel="!self.startsWith('MODELMEND_')",
        sentence="must not begin with MODELMEND_: these variables are Modelmend's word to the container",
        holds=lambda name: not name.startswith("MODELMEND_"),
    ),
]
ImageName = Annotated[
    str,
    Field(max_length=512),
    Pattern(
        r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$",
        "must be the name of an image such as registry.example.com/team/server:1.4, without spaces",
    ),
]
HttpPath = Annotated[
    str,
    Field(max_length=253),
    Pattern(r"^/[A-Za-z0-9._~%!$&'()*+,;=:@/-]*$", "must be a path such as /health/ready, without a query"),
]
Port = Annotated[int, Field(ge=1024, le=65535, strict=True)]
Word = Annotated[str, Field(max_length=4096)]

OWN_PATH: Final = "/"


class Variable(Strict):
    """One environment variable. Not for secrets: those of storage.credentialsSecretRef reach the container anyway."""

    name: VariableName
    """Name of the variable."""
    value: Word
    """Its value, as it stands: nothing is expanded."""


def _named_once(variables: tuple[Variable, ...]) -> tuple[Variable, ...]:
    """What the API server makes sure of by itself: the list is a map."""
    if len({variable.name for variable in variables}) < len(variables):
        raise ValueError("each name may stand once")
    return variables


class Template(Strict):
    """One container of an image of your own. It runs as Pod Security `restricted` has it: as user 65532, with a
    read-only root and a writable /tmp, without capabilities and without a token of Kubernetes."""

    image: ImageName
    """The image; pulled where the node does not have it."""
    command: Annotated[tuple[Word, ...], Field(max_length=64)] = ()
    """In place of the image's entry point."""
    args: Annotated[tuple[Word, ...], Field(max_length=64)] = ()
    """In place of the image's arguments."""
    env: Annotated[
        tuple[Variable, ...],
        Field(max_length=64, json_schema_extra=MAP_BY_NAME),
        AfterValidator(_named_once),
    ] = ()
    """Environment variables beside Modelmend's own (docs/own-images.md)."""
    image_pull_secrets: Annotated[
        tuple[ObjectName, ...], Field(max_length=8, json_schema_extra=SET), AfterValidator(each_once)
    ] = ()
    """Names of Secrets in the same namespace by which the image is pulled."""


class ServerTemplate(Template):
    """A server of your own. It serves the artifact at MODELMEND_PATH (or MODELMEND_URI) over HTTP and counts what it
    did in counters that spec.monitoring.metrics names. It has no shadow: a candidate is compared by the labels of
    the requests that each of the two answered."""

    port: Port = 8080
    """Where it answers requests."""
    path: HttpPath = OWN_PATH
    """Requests whose path begins so are the model's; the host names of the gateway tell models apart."""
    ready_path: HttpPath = "/v2/health/ready"
    """Answers with 200 once the model is loaded, and with something else before."""
    metrics_port: Port | None = None
    """Where it shows its metrics; `port` when left out."""
    metrics_path: HttpPath = "/metrics"
    """Under which path it shows them."""
