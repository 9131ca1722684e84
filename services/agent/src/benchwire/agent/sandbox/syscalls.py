"""What the kernel refuses inside, beyond what namespaces and limits hold: a seccomp filter, made by libseccomp where that is installed.

Refused is what gives memory that belongs to no process (``memfd_create``, what System V shares), what no namespace covers (a virtual
machine's socket to its host, keys, BPF), and what only whoever wants out needs (mounts, namespaces, io_uring).
"""

import contextlib
import ctypes
import errno
import os
from collections.abc import Generator
from functools import cache

REFUSED = (
    "memfd_create", "memfd_secret", "shmget", "msgget", "semget", "add_key", "request_key", "keyctl", "bpf", "perf_event_open", "userfaultfd",
    "fanotify_init", "io_uring_setup", "io_uring_enter", "io_uring_register", "mount", "umount2", "pivot_root", "fsopen", "fspick",
    "fsconfig", "fsmount", "open_tree", "move_mount", "mount_setattr", "unshare", "setns", "clone3", "open_by_handle_at",
    "process_vm_readv", "process_vm_writev", "ptrace", "pidfd_getfd", "quotactl", "swapon", "swapoff", "acct", "kexec_load",
    "init_module", "finit_module", "delete_module",
)  # fmt: skip
SOCKETS = frozenset({1, 2, 10, 16})  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: these a network namespace covers

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000  # <seccomp.h>
_GREATER_OR_EQUAL, _MASKED_EQUAL = 5, 7
_CLONE_NEWUSER = 0x10000000
_INT = 0xFFFFFFFF


class _Compare(ctypes.Structure):
    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def missing() -> str | None:
    """What to say where there is no filter; None where there is one. Raises OSError when libseccomp does not take it."""
    return (
        "no system call is refused: libseccomp is not installed (package libseccomp2)" if _program() is None else None
    )


@contextlib.contextmanager
def opened() -> Generator[int | None, None, None]:
    """The filter as a file to read, as bubblewrap wants it; None where there is no libseccomp."""
    program = _program()
    if program is None:
        yield None
        return
    file = os.memfd_create("seccomp")
    try:
        os.write(file, program)
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)


@cache
def _program() -> bytes | None:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return None
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
    file = os.memfd_create("seccomp")
    try:
        for name in REFUSED:  # ENOSYS: programs then do without
            _refuse(library, context, errno.ENOSYS, name)
        _refuse(library, context, errno.EPERM, "clone", _Compare(0, _MASKED_EQUAL, _CLONE_NEWUSER, _CLONE_NEWUSER))
        for family in range(max(SOCKETS)):
            if family not in SOCKETS:
                _refuse(library, context, errno.EAFNOSUPPORT, "socket", _Compare(0, _MASKED_EQUAL, _INT, family))
        _refuse(library, context, errno.EAFNOSUPPORT, "socket", _Compare(0, _GREATER_OR_EQUAL, max(SOCKETS) + 1, 0))
        if library.seccomp_export_bpf(context, file) != 0:
            raise OSError("libseccomp could not write its filter")
        os.lseek(file, 0, os.SEEK_SET)
        return os.read(file, 1 << 20)
    finally:
        os.close(file)
        library.seccomp_release(context)


def _refuse(library: ctypes.CDLL, context: ctypes.c_void_p, error: int, name: str, *when: _Compare) -> None:
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number == -1:  # this libseccomp is older than the call
        return
    compares = (_Compare * len(when))(*when)
    said = library.seccomp_rule_add_array(context, ctypes.c_uint32(_ERRNO | error), number, len(when), compares)
    if said != 0:
        raise OSError(-said, f"libseccomp takes no rule for {name}")
