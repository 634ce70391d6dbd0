"""Runs a stranger's Python in a process of its own, with limits on all that it may take.

Limits of the kernel on processor time, memory, file size, open files and processes; a wall-clock limit after which the
whole process group is killed; an empty temporary directory; no environment; and, where the kernel lets an ordinary user
have them (``unshare``), namespaces of its own: no network, no other process to be seen, and every file read-only but
those of its folder, which is a small file system in memory. The rights that this takes are given up before the program
starts. It still runs as this user and can read what this user can read: it holds back mistakes and mischief, not a
determined attacker. The kernel does not count the processes of root: run as root, only the time ends a program that
multiplies. Where answers may be hostile, run the service as a user with nothing to lose, or in a container.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

_ISOLATE = """
import ctypes, os
kernel = ctypes.CDLL(None, use_errno=True)
def must(failed, what):
    if failed: raise SystemExit(f"{what}: {os.strerror(ctypes.get_errno())}")
def read_only(path, flags, on):
    change = (ctypes.c_uint64 * 4)(on, 1 - on, 0, 0)
    must(kernel.syscall(442, -100, path, flags, change, 32), "mount_setattr")
here = os.getcwd().encode()
program = open("program.py", "rb").read()
must(kernel.mount(b"none", b"/", None, 0x44000, None), "mount /")  # private, recursive: nothing gets out
must(kernel.mount(b"tmpfs", here, b"tmpfs", 0x6, b"mode=700,size=" + sys.argv[5].encode()), "mount tmpfs")
kernel.mount(b"proc", b"/proc", b"proc", 0, None)  # refused within some containers; then names of others can be seen
read_only(b"/", 0x8000, 1)
read_only(here, 0, 0)
os.chdir(here)
open("program.py", "wb").write(program)
for right in range(64):
    kernel.prctl(24, right, 0, 0, 0)  # PR_CAPBSET_DROP: no program that it starts has any right either
must(kernel.prctl(38, 1, 0, 0, 0), "no_new_privs")
must(kernel.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()), "capset")
"""
"""Within the namespaces, before the program: its own small folder, all else read-only, then no rights to undo that."""

_LIMIT = """
import resource, runpy
cpu, memory, size, processes = map(int, sys.argv[1:5])
for what, limit in (("CPU", cpu), ("AS", memory), ("FSIZE", size), ("NOFILE", 64), ("NPROC", processes), ("CORE", 0)):
    kind = getattr(resource, "RLIMIT_" + what)
    hard = resource.getrlimit(kind)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (limit, limit))
sys.argv = ["program.py"]
runpy.run_path("program.py", run_name="__main__")
"""

_NAMESPACES = ("--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a program may take."""

    wall_s: float = 10.0
    cpu_s: int = 5
    memory_mb: int = 512
    file_mb: int = 8
    """Most that it may write to one file, its output among them."""
    folder_mb: int = 64
    """Most that all its files may hold together, where it has namespaces of its own."""
    processes: int = 0
    """Beyond those that this user runs already, in so far as the kernel counts them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a program ended."""

    code: int | None
    """Exit code; negative is the signal that killed it; None: out of time."""
    output: str
    """The end of what it printed, both streams."""

    @property
    def ok(self) -> bool:
        return self.code == 0


@functools.cache
def isolates() -> bool:
    """Whether this machine gives programs namespaces of their own, and lets them be closed."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    with tempfile.TemporaryDirectory(prefix="armwise-sandbox-") as folder:
        Path(folder, "program.py").write_text("", encoding="utf-8")
        try:
            tried = subprocess.run(
                _command(Limits(), isolated=True), cwd=folder, env=_environment(folder), capture_output=True, timeout=20
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
    return tried.returncode == 0


def _command(limits: Limits, *, isolated: bool) -> list[str]:
    numbers = (
        limits.cpu_s,
        limits.memory_mb << 20,
        limits.file_mb << 20,
        limits.processes + _own_processes(),
        limits.folder_mb << 20,
    )
    launch = "import sys\n" + (_ISOLATE if isolated else "") + _LIMIT
    start = ["unshare", *_NAMESPACES] if isolated else []
    return [*start, sys.executable, "-I", "-S", "-B", "-c", launch, *map(str, numbers)]


def _environment(folder: str) -> dict[str, str]:
    return {"PATH": os.defpath, "HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8"}


async def run_python(program: str, limits: Limits | None = None) -> Outcome:
    """Run a program to its end, or to the end of its time."""
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="armwise-sandbox-", ignore_cleanup_errors=True) as folder:
        Path(folder, "program.py").write_text(program, encoding="utf-8", errors="replace")
        log = Path(folder, "output")
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *_command(limits, isolated=isolates()),
                cwd=folder,
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                code: int | None = await asyncio.wait_for(process.wait(), limits.wall_s)
            except TimeoutError:
                code = None
            finally:
                _kill(process.pid)
                if process.returncode is None:
                    await process.wait()
        with log.open("rb") as printed:
            printed.seek(max(0, log.stat().st_size - 4_096))
            return Outcome(code=code, output=printed.read().decode("utf-8", "replace"))


def _kill(group: int) -> None:
    """End what is left of a process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _own_processes() -> int:
    """Room for the threads and processes that this user has already, which the kernel's limit counts too."""
    try:
        return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in os.listdir("/proc") if pid.isdigit()) + 64
    except OSError:
        return 4_096
