"""What to serve and where everything lies."""

from modelmend.api.fields import ObjectName, Strict, VersionName
from modelmend.api.uris import ReadableUri, WritableUri


class Model(Strict):
    """Which artifact to begin with, or to move to; the first one is trained where none is named."""

    uri: ReadableUri | None = None
    """Folder of a Modelmend artifact: pvc://claim/path, s3://, gs://, abfs:// or https://. A change starts a rollout
    of that artifact through the same gate, shadow and canary. Left out, the first version is trained on
    retraining.data.dataset, and serves when it is better than always answering the same (the most frequent
    class, or the mean)."""
    pin: VersionName | None = None
    """A person's override: serve exactly this version of this ModelDeployment, and heal nothing, until it is removed."""


class SecretRef(Strict):
    """A Secret in the same namespace."""

    name: ObjectName
    """Name of the Secret. Its keys become environment variables of Modelmend's pods (for example AWS_ACCESS_KEY_ID)."""


class Storage(Strict):
    """Where new artifacts, the prediction log and staging live."""

    uri: WritableUri
    """Folder that Modelmend may write: pvc://claim/path (ReadWriteMany when there is more than one node), s3://, gs://, abfs://."""
    credentials_secret_ref: SecretRef | None = None
    """Credentials for object storage, given to Modelmend's pods as environment variables and never read by the operator."""
