"""What controls ask of ClickHouse: read only, bounded, on one connection. Blocking; of one thread.

Errors are named by what the caller does next, as in pipeline.sinks.clickhouse: `Unavailable`, `Refused`.
"""

from typing import TYPE_CHECKING, Any

from pipeline.settings import SettingsError
from pipeline.sinks.clickhouse import FAILURES, Refused, Unavailable, client, translated

if TYPE_CHECKING:
    from clickhouse_driver import Client

    from pipeline.controls.questions import Question
    from pipeline.settings import Settings

CONNECT_S, ANSWER_S = 2.0, 15.0
#: one thread: nobody waits for it, and people's questions come first
LIMITS = {"max_execution_time": 10, "max_threads": 1, "max_result_rows": 200_000, "readonly": 1}

__all__ = ["Asker", "Refused", "Unavailable"]


class Asker:
    """Asks questions; connects when first asked."""

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings
        self._client: Client | None = None

    def rows(self, question: "Question") -> list[dict[str, Any]]:
        """Return the answer, a dictionary a row.

        Raises: Unavailable, Refused.
        """
        options = {**LIMITS, "server_side_params": 1} if question.values else LIMITS
        try:
            if self._client is None:
                self._client = client(self._settings, connect_timeout=CONNECT_S, send_receive_timeout=ANSWER_S)
            found, columns = self._client.execute(
                question.sql, dict(question.values) or None, with_column_types=True, settings=options
            )
        except FAILURES as error:
            self.close()
            raise translated(error) from error
        except SettingsError as error:
            raise Unavailable(str(error)) from error
        names = [name for name, _ in columns]
        return [dict(zip(names, row, strict=True)) for row in found]

    def close(self) -> None:
        """Let go of the connection; the next question makes a new one."""
        if self._client is not None:
            self._client.disconnect()
            self._client = None
