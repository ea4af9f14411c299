"""Work in a thread that cannot keep the process from exiting.

`asyncio.to_thread` borrows from an executor that the end of the event loop waits for: a model that is being fetched
from a store that does not answer would outlive the grace period of its pod.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


async def in_daemon(name: str, work: Callable[[], _Result]) -> _Result:
    """The result of `work`, done in a thread of that name; what it raises comes out here."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Result] = loop.create_future()

    def settle(result: _Result | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # the result of `work`, whatever its type

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await future
