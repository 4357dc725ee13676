"""Which instructions the projection uses on which processor: chosen by this table, never by timing.

=============================== ==================================== ======================
a processor that has            multiplies                           in
=============================== ==================================== ======================
AMX with bfloat16               bfloat16, 16 × 16 numbers at once    ``amx_bf16``
AVX-512 with bfloat16, by AMD   bfloat16, 32 pairs at once           ``avx512_bf16``
AVX-512                         float32, 16 at once                  ``avx512f``
AVX2 and FMA                    float32, 8 at once                   ``avx2_fma``
any other, or without a kernel  bfloat16 where native, then float32  PyTorch
=============================== ==================================== ======================

Intel's AVX-512 processors do as many float32 products as pairs of bfloat16 in the same time, so
there float32 is faster: it leaves fewer candidates. Without a kernel, float32 products on
processors by AMD go through oneDNN, in less than half of the time that MKL takes there.
"""

from enum import IntEnum
from functools import cache
from pathlib import Path as File

CPUINFO = File("/proc/cpuinfo")


class Path(IntEnum):
    """The kernel's functions for kinds of processors, by the numbers in kernel.cpp."""

    avx2_fma = 0
    avx512f = 1
    avx512_bf16 = 2
    amx_bf16 = 3

    @property
    def rounds(self) -> bool:
        """Whether it multiplies bfloat16."""
        return self in (Path.avx512_bf16, Path.amx_bf16)


@cache
def is_by_amd() -> bool:
    """Whether Linux says that AMD made the processor; False where it says nothing."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("vendor_id") and "AuthenticAMD" in line for line in lines)


def order(by_amd: bool) -> tuple[Path, ...]:
    """The kernel's paths, the one to take first if the processor can run it first."""
    best = (Path.amx_bf16, Path.avx512_bf16) if by_amd else (Path.amx_bf16,)
    return (*best, Path.avx512f, Path.avx2_fma)
