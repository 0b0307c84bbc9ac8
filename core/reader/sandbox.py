"""Confines a process that opens hostile files: it keeps a few files to read, and no network, programs or signals.

Landlock (Linux 5.13; TCP since 6.7) removes the file system except for what may be read. seccomp removes the system
calls that reach other processes or machines. Neither needs a privilege, and neither can be undone. Where the kernel
lacks one of them the other still works. `enter` returns which of them took effect.
https://docs.kernel.org/userspace-api/landlock.html and https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_ASK_VERSION, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}  # all rights, by ABI version
_BIND_AND_CONNECT = 3
_SIGNALS_AND_SOCKETS = 3  # no signals to other processes, no abstract sockets of theirs
_NET_SINCE, _SCOPES_SINCE = 4, 6

_ALLOW, _KILL, _ERRNO, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x00050000, 1, 38
_LOAD, _EQUAL, _AT_LEAST, _HAS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCH_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_CLONE_THREAD, _X32 = 0x00010000, 0x40000000
_ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_FORBIDDEN: dict[str, dict[str, int]] = {
    "x86_64": {
        "socket": 41, "connect": 42, "accept": 43, "bind": 49, "listen": 50, "socketpair": 53, "accept4": 288,
        "fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "kill": 62, "ptrace": 101, "mount": 165, "umount2": 166,
        "init_module": 175, "finit_module": 313, "bpf": 321, "process_vm_readv": 310, "process_vm_writev": 311,
        "add_key": 248, "request_key": 249, "keyctl": 250, "perf_event_open": 298, "userfaultfd": 323,
        "io_uring_setup": 425, "open_by_handle_at": 304, "unshare": 272, "setns": 308, "pidfd_getfd": 438,
        "tkill": 200, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "pidfd_open": 434, "pidfd_send_signal": 424,
        "setpriority": 141, "sched_setaffinity": 203, "sched_setscheduler": 144, "shmget": 29, "shmat": 30,
        "shmctl": 31, "semget": 64, "msgget": 68, "mq_open": 240,
    },
    "aarch64": {
        "socket": 198, "connect": 203, "accept": 202, "bind": 200, "listen": 201, "socketpair": 199, "accept4": 242,
        "execve": 221, "execveat": 281, "kill": 129, "ptrace": 117, "mount": 40, "umount2": 39,
        "init_module": 105, "finit_module": 273, "bpf": 280, "process_vm_readv": 270, "process_vm_writev": 271,
        "add_key": 217, "request_key": 218, "keyctl": 219, "perf_event_open": 241, "userfaultfd": 282,
        "io_uring_setup": 425, "open_by_handle_at": 265, "unshare": 97, "setns": 268, "pidfd_getfd": 438,
        "tkill": 130, "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240, "pidfd_open": 434, "pidfd_send_signal": 424,
        "setpriority": 140, "sched_setaffinity": 122, "sched_setscheduler": 119, "shmget": 194, "shmat": 196,
        "shmctl": 195, "semget": 190, "msgget": 186, "mq_open": 180,
    },
}  # fmt: skip
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_OWN_ALONE = {"x86_64": (234, 302), "aarch64": (131, 261)}  # tgkill (abort needs it), prlimit64


def landlock_version() -> int:
    """Returns the kernel's Landlock ABI version; 0 without Landlock."""
    return max(0, _LIBC.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)) if sys.platform == "linux" else 0


def program_files() -> list[Path]:
    """Folders of Python and its libraries, which a child loads modules from as it needs them. None contains slides.

    The folder that contains this application is left out, since the data folder may lie in it, too.
    """
    ours = Path(__file__).resolve().parents[1]
    packages = [path for path in map(Path, filter(None, sys.path)) if not ours.is_relative_to(path.resolve())]
    system = [Path(name) for name in ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/proc/self", "/proc/cpuinfo")]
    return [Path(sys.prefix), Path(sys.base_prefix), ours, *packages, *system]


def enter(readable: Iterable[Path]) -> list[str]:
    """Gives up everything but reading these files and folders, for good.

    Call it before threads start: Landlock and seccomp confine the calling thread and those that it starts later.

    Returns:
        Which confinements took effect: "landlock", "landlock-tcp", "seccomp".
    """
    # Without "no new privileges" only root may confine itself: a filter could mislead a set-uid program.
    if sys.platform != "linux" or _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return []
    return [*_restrict_files(readable), *_filter_calls()]


def _restrict_files(readable: Iterable[Path]) -> list[str]:
    version = landlock_version()
    if not version:
        return []
    rights = _FILE_RIGHTS[max(abi for abi in _FILE_RIGHTS if abi <= version)]
    with_net = version >= _NET_SINCE
    # The structure grew with the ABI. An older kernel refuses fields that it does not know, so none is passed to it.
    handled = struct.pack("QQ", rights, _BIND_AND_CONNECT) if with_net else struct.pack("Q", rights)
    handled += struct.pack("Q", _SIGNALS_AND_SOCKETS) if version >= _SCOPES_SINCE else b""
    ruleset = _LIBC.syscall(_CREATE_RULESET, handled, len(handled), 0)
    if ruleset < 0:
        return []
    try:
        for path in readable:
            _let_read(ruleset, path)
        if _LIBC.syscall(_RESTRICT_SELF, ruleset, 0):
            return []
    finally:
        os.close(ruleset)
    return ["landlock", "landlock-tcp"] if with_net else ["landlock"]


def _let_read(ruleset: int, path: Path) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # a missing file needs no right
    try:
        # A right for directories on a file is refused with EINVAL.
        rights = _READ_FILE | _READ_DIR if path.is_dir() else _READ_FILE
        _LIBC.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _filter_calls() -> list[str]:
    machine = platform.machine()
    if machine not in _ARCHES:
        return []
    program = b"".join(_program(machine))
    code = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    filter_program = Program(len(program) // 8, ctypes.addressof(code))
    refused = _LIBC.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(filter_program), 0, 0)
    return [] if refused else ["seccomp"]


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    """One instruction of classic BPF. `then` and `otherwise`: how many instructions a jump skips."""
    return struct.pack("=HBBI", code, then, otherwise, value)


def _program(machine: str) -> Sequence[bytes]:
    """The filter: calls of another architecture kill, forbidden ones fail with EPERM, clone makes threads only.

    tgkill and prlimit64 are allowed on this process alone. A call's number has another meaning in another ABI (x86's
    32-bit calls, x32), so a program could evade the list by switching; hence the check of the architecture comes first.
    """
    refuse = _step(_RETURN, _ERRNO | _EPERM)
    steps = [_step(_LOAD, _ARCH_AT), _step(_EQUAL, _ARCHES[machine], 1, 0), _step(_RETURN, _KILL)]
    steps += [_step(_LOAD, _NUMBER_AT), _step(_AT_LEAST, _X32, 0, 1), _step(_RETURN, _KILL)]
    for number in _FORBIDDEN[machine].values():
        steps += [_step(_EQUAL, number, 0, 1), refuse]
    for number in _OWN_ALONE[machine]:
        steps += [_step(_EQUAL, number, 0, 5), _step(_LOAD, _FIRST_ARGUMENT_AT), _step(_EQUAL, 0, 2, 0)]
        steps += [_step(_EQUAL, os.getpid(), 1, 0), refuse, _step(_RETURN, _ALLOW)]
    # The flags of clone3 lie in memory, which a filter cannot read. ENOSYS makes libc use clone.
    steps += [_step(_EQUAL, _CLONE3, 0, 1), _step(_RETURN, _ERRNO | _ENOSYS)]
    steps += [_step(_EQUAL, _CLONE[machine], 0, 3), _step(_LOAD, _FIRST_ARGUMENT_AT), _step(_HAS, _CLONE_THREAD, 1, 0)]
    return [*steps, refuse, _step(_RETURN, _ALLOW)]
