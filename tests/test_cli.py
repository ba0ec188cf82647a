"""How the command line starts: a command pays for what it uses, and not for what other commands use."""

import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).parents[1]
#: each costs a start from a tenth of a second to two; imported inside the functions that use it
HEAVY = (
    "aiohttp", "aiokafka", "avro", "clickhouse_driver", "cloudevents", "confluent_kafka", "fastavro", "faust", "httpx",
    "numba", "numpy", "pandas", "plotext", "prometheus_client", "pyarrow", "scipy", "sklearn", "statsforecast",
)  # fmt: skip

STARTED = """
import contextlib, io, sys
from pipeline.cli import app
for arguments in (["--help"], ["slo", "--help"], ["slo", "validate", "schemas/slo"]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        app(arguments)
    for name in sys.argv[1:]:
        if name in sys.modules:
            print(f"burnline {' '.join(arguments)} imports {name}")
"""


def test_help_and_checks_of_files_do_without_what_runs_a_worker() -> None:
    """Find who imports it with `python -X importtime -m pipeline.cli --help`."""
    command = [sys.executable, "-c", STARTED, *HEAVY]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == ""
