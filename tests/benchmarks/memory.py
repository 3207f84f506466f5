"""A hard cap on the memory of a process: a control group of Linux, below the group that this process is in.

The kernel kills what goes beyond; what it counts is the process's own memory and the pages of files that it read or
wrote, which it takes back first. Making a group takes root, or a group that was handed over, of version 1 or 2.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

#: Where control groups are, by version of their memory controller: limit, peak, and those of memory and swap together.
_FILES: Final = {
    1: ("memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.memsw.limit_in_bytes"),
    2: ("memory.max", "memory.peak", "memory.swap.max"),
}


class Cap:
    """A group of ``limit`` bytes, empty at first; raises an OSError where none can be made."""

    def __init__(self, limit: int) -> None:
        version, parent = _own_group()
        self.folder = Path(tempfile.mkdtemp(prefix="kie_notes-", dir=parent))
        most, self._peak, swap = (self.folder / name for name in _FILES[version])
        try:
            most.stat()  # where the controller is not handed down, there is no such file
            most.write_text(str(limit), "ascii")
            if swap.exists():
                swap.write_text(str(limit if version == 1 else 0), "ascii")
        except OSError:
            self.folder.rmdir()
            raise

    def peak(self) -> float:
        """Megabytes at the most, with the pages of files."""
        return int(self._peak.read_text("ascii")) / 1e6

    def close(self) -> None:
        """Remove the group, which nobody is in any more."""
        with suppress(OSError):
            self.folder.rmdir()


def _own_group() -> tuple[int, Path]:
    """Give the version of the memory controller, and the group of it that this process is in."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines()]
    mounts = {1: Path("/sys/fs/cgroup/memory"), 2: Path("/sys/fs/cgroup")}
    for version in (1, 2):
        for _, names, path in lines:
            right = "memory" in names.split(",") if version == 1 else not names
            # In a container, what is mounted may be the own group itself, whatever its name is outside.
            for group in (mounts[version] / path.lstrip("/"), mounts[version]):
                if right and (group / "cgroup.procs").exists():
                    return version, group
    raise OSError("no control group of memory is mounted at /sys/fs/cgroup")
