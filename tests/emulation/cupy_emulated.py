"""The part of CuPy that the package uses, over the imitated driver."""

from __future__ import annotations

import ctypes
from contextlib import nullcontext
from pathlib import Path

import weightsharing

_driver = ctypes.CDLL(str(Path(weightsharing.__file__).parent / "_driver_emulated.so"))
_driver.cuMemFree_v2.argtypes = [ctypes.c_uint64]


class MemoryPointer:
    def __init__(self, ptr):
        self.ptr = ptr

    def __del__(self):
        _driver.cuMemFree_v2(self.ptr)


class cuda:
    class memory:
        class OutOfMemoryError(MemoryError):
            pass

    Device = nullcontext

    class Stream:
        def synchronize(self):
            cuda.waits += 1

    waits = 0
    get_current_stream = Stream

    @staticmethod
    def alloc(size):
        address = ctypes.c_uint64()
        if _driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(size)):
            raise cuda.memory.OutOfMemoryError(f"Out of memory allocating {size:,} bytes")
        return MemoryPointer(address.value)
