"""The ModelVersion: the record of one artifact. `act` creates it for RecordVersion."""

from modelmend.api import names, resources
from modelmend.render import child


def manifest(owner: resources.ModelDeployment, name: str, spec: resources.ModelVersionSpec) -> child.Manifest:
    """The ModelVersion. Its spec never changes, so it keeps no copy of itself."""
    return {
        "apiVersion": resources.API_VERSION,
        "kind": resources.ModelVersion.KIND,
        "metadata": child.metadata(owner, name, names.labels(owner.metadata.name, "version", version=name)),
        "spec": spec.to_object(),
    }
