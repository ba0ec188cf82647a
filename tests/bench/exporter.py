"""A tiny exporter of the stream that a producer sends: counters of events and of bad ones, by model, for Prometheus.

It counts what is sent at the moment it is sent, before the broker has it: no other exporter could be quicker.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Exporter:
    """Counters behind http://127.0.0.1:port/metrics, from the moment it is made."""

    def __init__(self, port: int, models: int) -> None:
        self._events, self._bad = np.zeros(models, np.int64), np.zeros(models, np.int64)
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = exporter.text().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def count(self, events: NDArray[np.int64], bad: NDArray[np.int64]) -> None:
        """Add what is sent of each model."""
        self._events, self._bad = self._events + events, self._bad + bad

    def text(self) -> str:
        """All counters, as Prometheus reads them."""
        lines = []
        for name, counts in (("requests_total", self._events), ("requests_bad_total", self._bad)):
            lines.append(f"# TYPE {name} counter")
            lines += [f'{name}{{request_model="model-{model:02d}"}} {n}' for model, n in enumerate(counts.tolist())]
        return "\n".join(lines) + "\n"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
