"""How much memory there is, and how messages spell it."""

from __future__ import annotations

import os


def free_memory() -> int | None:
    """Bytes of memory that can be had without swapping, None where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def counted(size: int) -> str:
    """Spell a number of bytes."""
    return f"{size} bytes ({size / 2**30:.3g} GiB)"
