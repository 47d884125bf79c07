"""Builds ``shim.c`` and gives one node's processes their orders while they run."""

from __future__ import annotations

import errno
import mmap
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
_FORM = struct.Struct("<qiiii")


def build(folder: Path) -> Path:
    """Compile the library; every node of a run loads the same one."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "a C compiler is needed: apt-get install gcc libc6-dev"
    library = folder / "shim.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return library


@dataclass(frozen=True)
class DiskFault:
    """How writes below the node's data folder fail."""

    write_errno: int = 0
    sync_errno: int = 0
    delay_us: int = 0
    is_torn: bool = False


DISK_FULL = DiskFault(write_errno=errno.ENOSPC)
DISK_FULL_TORN = DiskFault(write_errno=errno.ENOSPC, is_torn=True)
DISK_READ_ONLY = DiskFault(write_errno=errno.EROFS)
DISK_ERROR = DiskFault(write_errno=errno.EIO, is_torn=True)
SYNC_ERROR = DiskFault(sync_errno=errno.EIO)
DISK_SLOW = DiskFault(delay_us=250_000)
DISK_WELL = DiskFault()


class Orders:
    """The orders of one node: all its processes, those that start later too, see them at once."""

    def __init__(self, file: Path) -> None:
        file.write_bytes(bytes(_FORM.size))
        self.file = file
        self._clock_offset_s = 0.0
        self._disk = DISK_WELL
        with file.open("r+b") as opened:
            self._mapped = mmap.mmap(opened.fileno(), _FORM.size)

    def set_clock(self, offset_s: float) -> None:
        self._clock_offset_s = offset_s
        self._give()

    def set_disk(self, disk: DiskFault) -> None:
        self._disk = disk
        self._give()

    def _give(self) -> None:
        disk = self._disk
        self._mapped[:] = _FORM.pack(
            round(self._clock_offset_s * 1e9),
            disk.write_errno,
            disk.sync_errno,
            disk.delay_us,
            disk.is_torn,
        )

    def close(self) -> None:
        self._mapped.close()
