"""Memory for inflated blocks, used again and again.

Law: an arena is free when nobody but the pool refers to it; numpy's views keep the array that owns their memory. Fresh
pages cost several times what it costs to inflate into them, so that arenas outlive their blocks. At most KEPT are kept;
whoever needs more gets memory of his own, which goes when the block does.
"""

import sys
import threading

import numpy as np
from numpy.typing import NDArray

ARENA_BYTES = 16 << 20  #: a block and the room that its last batch may want; only what was used once is resident
KEPT = 16

_pool: list[NDArray[np.uint8]] = []
_lock = threading.Lock()


def arena(size: int) -> NDArray[np.uint8]:
    """Memory of at least so many bytes, with whatever was in it."""
    if size > ARENA_BYTES:
        return np.empty(size, np.uint8)
    with _lock:
        for place in range(len(_pool)):
            if sys.getrefcount(_pool[place]) == 2:  # the pool's, and this question's
                return _pool[place]
        made = np.empty(ARENA_BYTES, np.uint8)
        if len(_pool) < KEPT:
            _pool.append(made)
        return made
