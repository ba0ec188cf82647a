"""Where every process of a run keeps compiled kernels and generated decoders: whoever is first compiles, once for all.

tests/conftest.py imports it before anything imports Numba, which reads its variable but once; workers and commands
that tests start inherit both. `python -m tests.compiled` compiles what workers call.
"""

import os
from pathlib import Path

_HOME = Path(__file__).parents[1]
KERNELS = Path(os.environ.setdefault("BURNLINE_KERNEL_CACHE", str(_HOME / ".burnline" / "kernels")))
os.environ.setdefault("NUMBA_CACHE_DIR", str(KERNELS))
KERNELS.mkdir(mode=0o700, parents=True, exist_ok=True)


if __name__ == "__main__":
    from pipeline.commands.worker import compile_kernels
    from pipeline.settings import Settings
    from schemas import HOME

    for slos in ("slo", "demo"):  # a decoder depends on which labels SLOs use
        compile_kernels(Settings(slo_dir=HOME / slos))
