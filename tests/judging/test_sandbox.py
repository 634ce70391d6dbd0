"""Code of strangers: it runs, and can do no harm worth the name."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
from judging_cases import case, score

from armwise.errors import ConfigError
from armwise.judging import sandbox
from armwise.judging.checks import CodeCheck
from armwise.judging.checks.code import code_of
from armwise.judging.sandbox import Limits, Outcome, isolates, run_python

ISOLATED = pytest.mark.skipif(not isolates(), reason="no network namespaces for ordinary users on this machine")
QUICK = Limits(wall_s=3.0, cpu_s=1, memory_mb=256, file_mb=1)
TESTS = "assert double(21) == 42"


def run(program: str, limits: Limits = QUICK) -> Outcome:
    return asyncio.run(run_python(program, limits))


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("Here you are:\n```python\ndef double(x):\n    return 2 * x\n```\nEnjoy.", True),
        ("def double(x): return x + x", True),
        ("```\ndef double(x): return x\n```", False),
        ("def double(x) return", False),
        ("I would rather not.", False),
        ("import sys\ndef double(x): return 0\nsys.exit(0)", False),
        ("import os\nos._exit(0)", False),
    ],
)
def test_a_program_passes_its_tests_or_does_not(answer: str, right: bool) -> None:
    judge = CodeCheck(isolated=False, limits=QUICK)
    assert score(judge, case(answer, tests=TESTS)) == float(right)


def test_no_tests_no_verdict_and_blocks_are_joined() -> None:
    assert score(CodeCheck(isolated=False), case("x = 1")) is None
    assert code_of("```py\na = 1\n```\nand\n```python\nb = 2\n```") == "a = 1\n\n\nb = 2\n"


def test_an_endless_loop_ends() -> None:
    began = time.monotonic()
    assert not run("while True: pass").ok
    assert not run("import time\ntime.sleep(60)", Limits(wall_s=0.5)).ok
    assert time.monotonic() - began < 8


def test_memory_files_and_output_are_bounded() -> None:
    assert run("x = bytearray(10**9)").code not in (0, None)
    assert not run("open('big', 'wb').write(b'x' * 10**8)").ok
    printed = run("for _ in range(10**7): print('x' * 1000)")
    assert len(printed.output) <= 4_096


def test_it_has_no_environment_and_an_empty_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "sesame")
    before = set(Path("/tmp").glob("armwise-sandbox-*"))  # what a killed process left is no matter here
    seen = run("import os\nprint(sorted(os.environ), sorted(os.listdir('.')))")
    assert "SECRET" not in seen.output
    assert "program.py" in seen.output
    assert set(Path("/tmp").glob("armwise-sandbox-*")) <= before


@ISOLATED
def test_it_reaches_no_network_and_no_process() -> None:
    reach = "import socket\nsocket.create_connection(('127.0.0.1', 22), timeout=2)"
    assert "unreachable" in run(reach).output
    assert run(f"import os\nos.kill({os.getpid()}, 0)").code not in (0, None)


@ISOLATED
@pytest.mark.parametrize("undoes", [False, True])
def test_it_writes_nowhere_but_into_its_folder(tmp_path: Path, undoes: bool) -> None:
    tmp_path.chmod(0o777)
    target = tmp_path / "written"
    undo = (
        "import ctypes\nkernel = ctypes.CDLL(None)\nkernel.unshare(0x10020000)\n"
        "kernel.syscall(442, -100, b'/', 0x8000, (ctypes.c_uint64 * 4)(0, 1, 0, 0), 32)\n"
        "kernel.mount(b'none', b'/', None, 0x1020, None)\n"
    )
    ended = run((undo if undoes else "") + f"open('inside', 'w').write('x')\nopen({str(target)!r}, 'w').write('x')")
    assert "Read-only file system" in ended.output
    assert not target.exists()
    by_shell = run(f"import os\nos.system('echo x > {target}; mount -o remount,rw /')")
    assert not target.exists()
    assert "Read-only" in by_shell.output or not by_shell.ok


@ISOLATED
def test_all_its_files_together_are_bounded() -> None:
    many = run("for i in range(100): open(f'{i}', 'wb').write(b'x' * 1_000_000)", Limits(wall_s=5.0, folder_mb=8))
    assert "No space left on device" in many.output


def test_a_program_that_multiplies_ends_with_all_its_children() -> None:
    began = time.monotonic()
    bomb = "import os, time\nfor _ in range(100):\n    if os.fork() == 0:\n        time.sleep(60)\ntime.sleep(60)"
    assert not run(bomb, Limits(wall_s=0.5)).ok
    assert time.monotonic() - began < 10
    time.sleep(0.3)
    children = [path for path in Path("/proc").glob("[0-9]*/cwd") if "armwise-sandbox" in _target(path)]
    assert not children


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # it ended, or is another's
        return ""


def test_children_do_not_outlive_it() -> None:
    mark = f"armwise-orphan-{os.getpid()}"
    run(f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)', {mark!r}])")
    time.sleep(0.3)
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(mark.encode() in line for line in lines)


def test_where_isolation_is_not_to_be_had_it_is_refused_unless_waived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("armwise.judging.checks.code.isolates", lambda: False)
    with pytest.raises(ConfigError, match="could reach the network; set isolated: false"):
        CodeCheck(TESTS)
    monkeypatch.setattr(sandbox, "isolates", lambda: False)
    assert run("print(1)").ok
