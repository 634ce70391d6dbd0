"""Runs a stranger's Python in a process of its own, with limits on all that it may take.

Limits of the kernel on processor time, memory, file size, open files and processes; a wall-clock limit after which the
whole process group is killed; an empty temporary directory; no environment; and, where the kernel lets an ordinary user
have them (``unshare``), a network namespace with nothing in it and a process namespace of its own. It still runs as
this user and can read what this user can read: it holds back mistakes and mischief, not a determined attacker. Where
answers may be hostile, run the service as a user with nothing to lose, or in a container.
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

_LAUNCH = """
import resource, runpy, sys
cpu, memory, size, processes = map(int, sys.argv[1:5])
for what, limit in (("CPU", cpu), ("AS", memory), ("FSIZE", size), ("NOFILE", 64), ("NPROC", processes), ("CORE", 0)):
    kind = getattr(resource, "RLIMIT_" + what)
    hard = resource.getrlimit(kind)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (limit, limit))
sys.argv = ["program.py"]
runpy.run_path("program.py", run_name="__main__")
"""

_NAMESPACES = ("--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a program may take."""

    wall_s: float = 10.0
    cpu_s: int = 5
    memory_mb: int = 512
    file_mb: int = 8
    """Most that it may write to one file, its output among them."""
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
    """Whether this machine gives programs a network namespace of their own."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    try:
        tried = subprocess.run([unshare, *_NAMESPACES, sys.executable, "-I", "-c", ""], capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


async def run_python(program: str, limits: Limits | None = None) -> Outcome:
    """Run a program to its end, or to the end of its time."""
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="armwise-sandbox-", ignore_cleanup_errors=True) as folder:
        Path(folder, "program.py").write_text(program, encoding="utf-8", errors="replace")
        log = Path(folder, "output")
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(["unshare", *_NAMESPACES] if isolates() else []),
                sys.executable,
                "-I",
                "-S",
                "-B",
                "-c",
                _LAUNCH,
                str(limits.cpu_s),
                str(limits.memory_mb << 20),
                str(limits.file_mb << 20),
                str(limits.processes + _own_processes()),
                cwd=folder,
                env={"PATH": os.defpath, "HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8"},
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
