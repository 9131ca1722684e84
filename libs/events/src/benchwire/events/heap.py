"""What a process keeps of the memory that it no longer uses."""

import ctypes
import logging

log = logging.getLogger(__name__)

# mallopt(3); glibc's <malloc.h>
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_LARGE_BYTES = 2 << 20
_ARENAS = 2


def lean() -> None:
    """Has what is large given back to the system once it is free, and few arenas for all threads. Only glibc can be told.

    As it comes, glibc puts even what is large among what is small once some of it was freed, and has an arena for each thread of a busy
    moment; a service that answered a hundred clients at once would stay as large as it was then.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or not (mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES) and mallopt(_M_ARENA_MAX, _ARENAS)):
        log.debug("the C library of this machine decides by itself what it keeps of memory that is free")
