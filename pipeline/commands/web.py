"""`burnline web`: the page and its API alone, against ClickHouse, until Ctrl-C."""

import asyncio
import contextlib
import errno
import json
import signal
import webbrowser
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.settings import Settings, SettingsError

if TYPE_CHECKING:
    from pipeline.spec import Slo
    from pipeline.web.server import Health
    from pipeline.web.site import Site

BIND = "127.0.0.1:8321"  #: the same each time, so that a link to it holds
LOOK_S = 5.0  #: between looks at ClickHouse, for /readyz
READY = timedelta(seconds=3 * LOOK_S)


def web(
    bind: Annotated[str | None, typer.Option(help=f"host:port; BURNLINE_HTTP_BIND, or {BIND}, when unset")] = None,
    token_file: Annotated[Path | None, typer.Option(help="file of the bearer token, needed off loopback")] = None,
    show: Annotated[bool, typer.Option("--open", help="open it in a browser")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="one line of JSON once ready, nothing else on stdout")
    ] = False,
) -> None:
    """Serve the web page and its JSON API from what ClickHouse has; no Kafka and no worker needed.

    Where BURNLINE_KAFKA_BROKERS and BURNLINE_HTTP_WRITE_TOKEN_FILE are set, it takes changes too: POST /api/v1/changes.
    """
    settings = Settings(http_token_file=token_file) if token_file else Settings()
    chosen = bind or (settings.http_bind if "http_bind" in settings.model_fields_set else BIND)

    def ready(address: str) -> None:
        typer.echo(json.dumps({"http": address}) if as_json else f"The page is at {address}/ until Ctrl-C.")
        if show:
            webbrowser.open(f"{address}/")

    try:
        asyncio.run(_serve(settings, chosen, ready))
    except SettingsError:
        raise
    except OSError as error:
        taken = "; --bind 127.0.0.1:0 takes any free port" if error.errno == errno.EADDRINUSE else ""
        typer.echo(f"burnline web: cannot listen on {chosen}: {error.strerror or error}{taken}", err=True)
        raise typer.Exit(1) from error
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--bind") from error


async def _serve(settings: Settings, bind: str, ready: Callable[[str], None]) -> None:
    """Serve until a signal.

    Raises: OSError when the port is not to be had, ValueError when it is none.
    """
    from pipeline.web import keda_port
    from pipeline.web.server import Endpoints, Server
    from pipeline.web.site import Site

    stop, files = asyncio.Event(), SloFiles(settings)
    site = Site(settings, lambda: files.slos, has_brokers="kafka_brokers" in settings.model_fields_set)
    server = Server(
        Endpoints(None, _alive, lambda: _ready(site), site), bind, settings.secret("http_token") or None
    )  # a token that cannot be used is said before anything listens
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start()
    looking = [asyncio.create_task(each) for each in (files.run(), _look(site))]
    try:
        async with keda_port.serving(settings, site.source):
            ready(server.address)
            await stop.wait()
    finally:
        for task in looking:
            task.cancel()
        await server.stop()


def _alive() -> "Health":
    from pipeline.web.server import Health

    return Health()


def _ready(site: "Site") -> "Health":
    """Ready when ClickHouse has answered lately."""
    from pipeline.web.server import Health

    last = site.source.asking.last_good_at
    if last is not None and datetime.now(UTC) - last < READY:
        return Health()
    silent = "ClickHouse has not answered yet" if last is None else f"ClickHouse answered last at {last:%H:%M:%S} UTC"
    return Health((site.source.asking.away or silent,))


async def _look(site: "Site") -> None:
    """Ask something small, now and then."""
    from pipeline.web.asking import NoAnswer

    while True:
        with contextlib.suppress(NoAnswer):  # /readyz says so
            await site.source.asking.ask("has_signals")
        await asyncio.sleep(LOOK_S)


class SloFiles:
    """What the SLO directory holds, as far as it is there; while a file is refused, what it held before."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is read yet."""
        self._home, self._every_s = settings.slo_dir, settings.slo_reload_s
        self.slos: Mapping[str, Slo] = {}
        self._seen = ""

    async def run(self) -> None:
        """Read now, and again when something has changed, until cancelled; what cannot be read now may be later."""
        import structlog  # which brings much that `--help` does without

        log, failed = structlog.get_logger(), ""
        while True:
            try:
                await self.look()
                failed = ""
            except Exception as error:  # OSError, or a fault of ours: the page goes on with what it has
                if failed != (failed := repr(error)):  # said once, however long it lasts
                    log.error("SLO files were not read", directory=str(self._home), exc_info=error)
            if not self._every_s:
                return
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Read once.

        Raises: whatever reading does.
        """
        from pipeline.reload import digest
        from pipeline.spec import loaded, read

        files = await asyncio.to_thread(read, [self._home])
        if (now := digest(files)) == self._seen:
            return
        slos = await asyncio.to_thread(loaded, files)
        self.slos = slos.told if not slos.problems else self.slos
        self._seen = now
