"""What `modelmend explain` says when it cannot explain: one sentence each, whatever the API server answers."""

from typing import Any

import pytest

from api.objects import as_stored, deployment
from modelmend.act import api, errors
from modelmend.cli import explain

FORBIDDEN = errors.Refused("modeldeployments is forbidden", status=403)


class Answers:
    """An API server that answers each verb with one object, or one error."""

    def __init__(self, get: Any, listed: Any) -> None:
        self._get, self._list = get, listed

    async def get(self, *_: Any, **__: Any) -> Any:
        if isinstance(self._get, Exception):
            raise self._get
        return self._get

    async def list(self, *_: Any) -> api.Listing:
        if isinstance(self._list, Exception):
            raise self._list
        return api.Listing(self._list, "1")


@pytest.mark.parametrize(
    ("get", "listed", "sentence"),
    [
        (errors.Missing("gone"), [deployment("fraud")], "no ModelDeployment flights .* did you mean fraud?"),
        (errors.Missing("gone"), [], "no ModelDeployment in the namespace ml"),
        (errors.Missing("gone"), FORBIDDEN, "no ModelDeployment flights in the namespace ml: give another"),
        (errors.Missing("gone"), errors.Missing("404"), "does not know ModelDeployments"),
        (FORBIDDEN, [], "you may not read .* get and list on modeldeployments and modelversions"),
        (as_stored(deployment()), FORBIDDEN, "you may not read"),
        (errors.Refused("the name is wrong", status=400), [], "the name is wrong"),
        (as_stored(deployment(storage={})), [], r"another release \(spec.storage.uri\)"),
    ],
)
async def test_what_cannot_be_explained_is_one_sentence(get: Any, listed: Any, sentence: str) -> None:
    with pytest.raises(explain.Unexplained, match=sentence):
        await explain.read(Answers(get, listed), "ml", "flights")


async def test_server_that_does_not_answer_says_so_itself() -> None:
    with pytest.raises(errors.Unavailable, match="did not answer"):
        await explain.read(Answers(errors.Unavailable("the API server did not answer"), []), "ml", "flights")
