"""A small disk of its own that a neighbour fills to the last byte: ext4 on a loop device, as root.

Not tmpfs: what is kept free of a disk of 2 GB would be held in memory. What is taken is only allocated, never written.
"""

import os
import subprocess
import time
from pathlib import Path

SIZE_BYTES = 2 << 30  #: of which an embedded server keeps as much free as of a large one
STEP_BYTES = 2 << 20
SPEED_BYTES_S = 200 << 20  #: at which the neighbour takes what is left


class NoDisk(RuntimeError):
    """This machine cannot have one; the message says why."""


def mount(place: Path) -> None:
    """Have an empty disk at `place`.

    Raises: NoDisk.
    """
    place.mkdir(parents=True, exist_ok=True)
    image = place.with_name(f"{place.name}.img")
    with image.open("wb") as file:
        file.truncate(SIZE_BYTES)
    for command in (["mkfs.ext4", "-q", "-m", "0", str(image)], ["mount", "-o", "loop", str(image), str(place)]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise NoDisk(f"a disk of its own needs {command[0]}") from error
        if done.returncode:
            raise NoDisk(f"a disk of its own needs root and loop devices: {done.stderr.strip()}")


def unmount(place: Path) -> None:
    """Take it away again, if it is there."""
    subprocess.run(["umount", str(place)], capture_output=True, check=False)
    place.with_name(f"{place.name}.img").unlink(missing_ok=True)


def free_bytes(place: Path) -> int:
    disk = os.statvfs(place)
    return disk.f_frsize * disk.f_bavail


def fill(place: Path, left_bytes: int = 0) -> Path:
    """Take the disk but for so much, the last 400 MB at a neighbour's speed; return the file to be deleted."""
    ballast = place / "ballast"
    with ballast.open("ab", buffering=0) as file:
        step, size = STEP_BYTES, ballast.stat().st_size
        while step >= 4096 and (free := free_bytes(place) - left_bytes) > 0:
            more = max(min(step, free), free - (400 << 20))
            try:
                os.posix_fallocate(file.fileno(), size, more)
            except OSError:  # so much is not left, or somebody else took it
                step //= 8
                continue
            size += more
            time.sleep(step / SPEED_BYTES_S)
    return ballast
