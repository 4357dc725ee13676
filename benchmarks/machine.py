"""The machine that measured, in one line for tables, and what a process has taken of it."""

import contextlib
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


def describe() -> str:
    """Processor, cores, threads, native bfloat16 or not, torch's version, the kernel's path."""
    # Here, because loading it takes more memory than what some benchmarks measure.
    import torch

    from ffn_extract.projection.arithmetic import BFLOAT16, arithmetics_for
    from ffn_extract.projection.native.library import chosen_path

    native = BFLOAT16 in arithmetics_for(torch.device("cpu"))
    path = chosen_path()
    return (
        f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"{'native bfloat16' if native else 'no native bfloat16'}, torch {torch.__version__}, "
        f"{f'kernel {path.name}' if path else 'no kernel'}"
    )


def peak_bytes() -> int:
    """The most memory that this process has held at once."""
    try:  # what getrusage tells on Linux begins with the parent's peak
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    peak = next(line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024


def resident_bytes_below(pid: int) -> list[tuple[str, int]]:
    """The command line and resident bytes of every process that descends from one."""
    listed = subprocess.run(
        ["ps", "-eo", "pid=,ppid=,rss=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 3) for line in listed.stdout.splitlines()]
    family, found = {str(pid)}, []
    while born := [row for row in rows if row[1] in family and row[0] not in family]:
        family |= {row[0] for row in born}
        found += [(" ".join(row[3:]), 1024 * int(row[2])) for row in born]
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def processor_ms(processes: Iterable[int]) -> float:
    """Milliseconds of processor time that running processes have taken so far; Linux.

    Those of other people and those that have ended count as nothing.
    """
    ticks = 0
    for process in processes:
        with contextlib.suppress(OSError):
            ticks += sum(map(int, _stat(process)[11:13]))  # utime, stime
    return 1000 * ticks / os.sysconf("SC_CLK_TCK")


def process_group(leader: int) -> list[int]:
    """The processes that belong to a group, its leader among them; Linux."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(_stat(int(folder.name))[2]) == leader:
                found.append(int(folder.name))
    return found


def _stat(process: int) -> list[str]:
    """What proc(5) lists for a process, from its state on: its name may hold spaces."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
