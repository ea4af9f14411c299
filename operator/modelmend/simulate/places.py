"""Where things lie on this machine, while the policy goes on speaking of its own URIs."""

from dataclasses import dataclass

from modelmend.contract import storage


@dataclass(frozen=True)
class Places:
    """Two folders of the policy, and the same two here."""

    model: str
    """spec.model.uri."""
    model_here: str
    storage: str
    """spec.storage.uri."""
    storage_here: str

    def here(self, uri: str) -> str:
        """The URI on this machine of a URI that the policy knows."""
        if uri == self.model:
            return self.model_here
        return storage.join(self.storage_here, uri.removeprefix(self.storage.rstrip("/")))

    def there(self, text: str) -> str:
        """A URI or a sentence as a cluster would show it."""
        return text.replace(self.storage_here.rstrip("/"), self.storage.rstrip("/")).replace(
            self.model_here.rstrip("/"), self.model.rstrip("/")
        )

    @property
    def log_here(self) -> str:
        """The prediction log."""
        return storage.join(self.storage_here, storage.LOG)
