"""`modelmend crds`: what `kubectl apply` needs before the operator runs."""

from modelmend.api import crd


def crds() -> None:
    """Print the CustomResourceDefinitions as YAML."""
    print("---\n".join(crd.files().values()), end="")
