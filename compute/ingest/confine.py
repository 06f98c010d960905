"""Confinement of one parser child: no network, no writing, no new program, bounded resources.

Layers, weakest assumption first: resource limits (always), no_new_privs (always on Linux), an
empty Landlock domain (no file can be opened, so no key read; Linux 5.13 on, where enabled), a
seccomp filter that answers EPERM (x86-64 and AArch64), an empty network namespace (where the
process may unshare; once, in the zygote, since making one takes longer than parsing a file).
``confine`` returns which layers took; it must be called in the child, before the first untrusted
byte is read. See prctl(2), seccomp(2), landlock(7), setrlimit(2).
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
from dataclasses import dataclass
from functools import cache
from typing import Final

_NO_NEW_PRIVS: Final = 38
_SET_SECCOMP: Final = 22
_SET_DUMPABLE: Final = 4
_FILTER_MODE: Final = 2
_NEWUSER: Final = 0x10000000
_NEWNET: Final = 0x40000000
_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_EPERM: Final = 0x00050000 | 1
_LANDLOCK_CREATE: Final = 444
_LANDLOCK_RESTRICT: Final = 446
_LANDLOCK_ALL: Final = (1 << 13) - 1  # every right of ABI 1
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

# System calls refused outright, by architecture: sockets, programs, processes, other processes'
# memory, changes to the file system, and ways around the filter (io_uring, openat2).
# fmt: off
_X86_64: Final = (
    41, 42, 43, 44, 46, 49, 50, 53, 288, 307,               # socket … sendmmsg
    57, 58, 59, 322, 435,                                   # fork, vfork, execve(at), clone3
    62, 200, 234, 297, 129, 424, 101, 310, 311, 434, 438,   # kill…, ptrace, process_vm_*, pidfd_*
    76, 77, 82, 83, 84, 85, 86, 87, 88, 90, 91, 92, 93, 94, # truncate … chown
    133, 165, 166, 161, 155, 258, 259, 260, 263, 264, 265, 266, 268, 280, 316, 132, 235, 261,
    188, 189, 190, 197, 198, 199, 285, 272, 308, 321, 298, 425, 426, 427, 437, 319, 248, 250,
)
_AARCH64: Final = (
    198, 199, 200, 201, 202, 203, 206, 211, 242, 269,
    221, 281, 435,
    129, 130, 131, 138, 240, 424, 117, 270, 271, 434, 438,
    45, 46, 33, 34, 35, 36, 37, 38, 276, 52, 53, 54, 55, 88, 40, 39, 51, 41,
    5, 6, 7, 14, 15, 16, 47, 97, 268, 280, 241, 425, 426, 427, 437, 279, 217, 219,
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Machine:
    """Numbers of one architecture: audit id, clone, open (None if absent) and openat."""

    audit: int
    denied: tuple[int, ...]
    clone: int
    open: int | None
    openat: int


MACHINES: Final = {
    "x86_64": Machine(0xC000003E, _X86_64, 56, 2, 257),
    "aarch64": Machine(0xC00000B7, _AARCH64, 220, None, 56),
}


def confine(*, memory: int, cpu_s: int, files: int) -> frozenset[str]:
    """Confine this process for good; ``memory`` is what may be resident, in bytes.

    Returns the layers that took: "limits", "no_new_privs", "landlock", "seccomp".
    """
    taken = {"limits"}
    libc = _libc()
    _limit(memory + _never_resident(), cpu_s, files)
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        taken.add("no_new_privs")
    libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    if _landlock(libc):
        taken.add("landlock")
    machine = MACHINES.get(platform.machine())
    if machine is not None and _seccomp(libc, machine):
        taken.add("seccomp")
    return frozenset(taken)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _never_resident() -> int:
    """Return mapped bytes that were not touched so far (libraries): no limit counts residence."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - no import in a child
            mapped, resident = file.read().split()[:2]
    except OSError:
        return 0
    return (int(mapped) - int(resident)) * os.sysconf("SC_PAGE_SIZE")


def _limit(memory: int, cpu_s: int, files: int) -> None:
    bounds = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: files,
        resource.RLIMIT_NPROC: 0,
    }
    for which, bound in bounds.items():
        hard = resource.getrlimit(which)[1]
        # At the soft CPU limit comes SIGXCPU, which tells its reason; at the hard one SIGKILL.
        top = bound + (which == resource.RLIMIT_CPU)
        least = top if hard == resource.RLIM_INFINITY else min(top, hard)
        resource.setrlimit(which, (min(bound, least), least))


def leave_network() -> bool:
    """Move this process and its children into an empty network namespace, where permitted."""
    unshare = getattr(_libc(), "unshare", None)
    if unshare is None:
        return False
    return any(unshare(flags) == 0 for flags in (_NEWNET, _NEWUSER | _NEWNET))


def landlock_version() -> int:
    """Return the kernel's Landlock ABI version, 0 where there is none."""
    found = int(_libc().syscall(_LANDLOCK_CREATE, None, 0, 1))
    return max(found, 0)


def _landlock(libc: ctypes.CDLL) -> bool:
    """Enter a domain that handles every file access and allows none.

    Open descriptors stay usable, and so is a memfd by its /proc/self/fd path: it lies on a file
    system that cannot be mounted.
    """
    if landlock_version() < 1:
        return False
    handled = ctypes.c_uint64(_LANDLOCK_ALL)
    ruleset = libc.syscall(_LANDLOCK_CREATE, ctypes.byref(handled), 8, 0)
    if ruleset < 0:
        return False
    taken = libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0
    os.close(ruleset)
    return bool(taken)


def _seccomp(libc: ctypes.CDLL, machine: Machine) -> bool:
    program = filter_program(machine)
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog { unsigned short len; struct sock_filter *filter; }
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    return bool(libc.prctl(_SET_SECCOMP, _FILTER_MODE, ctypes.c_char_p(header), 0, 0) == 0)


@cache
def filter_program(machine: Machine) -> bytes:
    """Return the classic-BPF filter for an architecture.

    Anything but the native calling convention is killed. Denied calls, opening for writing and
    clone (so threads too) answer EPERM, everything else is allowed.
    """
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    code = [
        _op(load, 0, 0, 4),  # seccomp_data.arch
        _op(equal, 1, 0, machine.audit),
        _op(give, 0, 0, _KILL),
        _op(load, 0, 0, 0),  # seccomp_data.nr
        _op(at_least, 0, 1, 0x40000000),  # x32 numbers
        _op(give, 0, 0, _KILL),
    ]
    for number in (*machine.denied, machine.clone):
        code += [_op(equal, 0, 1, number), _op(give, 0, 0, _EPERM)]
    opening = ((machine.open, 1), (machine.openat, 2))
    for call, argument in ((call, at) for call, at in opening if call is not None):
        code += [
            _op(equal, 0, 4, call),
            _op(load, 0, 0, 16 + 8 * argument),
            _op(any_bit, 0, 1, _WRITING),
            _op(give, 0, 0, _EPERM),
            _op(give, 0, 0, _ALLOW),
        ]
    return b"".join([*code, _op(give, 0, 0, _ALLOW)])


def _op(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
