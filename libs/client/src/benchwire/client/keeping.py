"""Something done again and again beside other work, as a lease is renewed."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchwire.client.errors import NoLab, Refused
from benchwire.client.patience import is_away

log = logging.getLogger(__name__)


@contextmanager
def kept(renew: Callable[[], object], *, every_s: float) -> Iterator[None]:
    """Calls ``renew`` every so often, in a thread. A lab that is away is asked again; one that refuses is not."""
    over = threading.Event()

    def keep() -> None:
        wait_s = every_s
        while not over.wait(wait_s):
            try:
                renew()
                wait_s = every_s
            except (NoLab, Refused) as error:
                if not is_away(error):
                    log.warning("a lease is lost: %s", error)
                    return
                log.warning("a lease could not be renewed, trying again: %s", error)
                wait_s = min(every_s, 1.0)

    thread = threading.Thread(target=keep, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
