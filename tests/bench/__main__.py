"""`python -m tests.bench [all|NAME]`: what Burnline does, at what cost; `--help` lists the names.

Real servers, started for the purpose and gone afterwards. Results go to bench-results/. Wrong results fail the run;
slow ones are only shown.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tests.bench import alerting as alerting_bench
from tests.bench import capacity as capacity_bench
from tests.bench import forecast as forecast_bench
from tests.bench import frontier as frontier_bench
from tests.bench import ingest as ingest_bench
from tests.bench import judge as judge_bench
from tests.bench import kernel as kernel_bench
from tests.bench import latency as latency_bench
from tests.bench import page as page_bench
from tests.bench import presets as presets_bench
from tests.bench import report
from tests.bench import scaling as scaling_bench
from tests.bench import shedding as shedding_bench
from tests.bench import soak as soak_bench
from tests.bench import stored as stored_bench
from tests.bench import views as views_bench
from tests.bench.paced import PacePlan

RESULTS = Path("bench-results")
DOCS = Path(__file__).parents[2] / "docs"
DATA_DIR = Path(".burnline")  #: compiled kernels are kept here

cli = typer.Typer(no_args_is_help=False, add_completion=False, help=__doc__)
Out = Annotated[Path, typer.Option(help="where results go")]
Series = Annotated[int, typer.Option(help="distinct series")]


@cli.callback(invoke_without_command=True)
def default(context: typer.Context) -> None:
    """Run all when nothing is asked for."""
    if context.invoked_subcommand is None:
        everything()


@cli.command("all")
def everything(out: Out = RESULTS) -> None:
    """Ingest, kernel and latency; the soak takes its half hour alone."""
    kernel(out=out)
    ingest(out=out)
    latency(out=out)


@cli.command()
def ingest(
    base: Annotated[int, typer.Option(help="distinct events")] = 200_000,
    repeats: Annotated[int, typer.Option(help="how often the topic has them")] = 50,
    series: Series = 1_000,
    codec: Annotated[str, typer.Option(help="of the topic: lz4, none, zstd, snappy")] = "lz4",
    runs: Annotated[int, typer.Option(help="of our worker; the middle one is compared")] = 3,
    rivals: Annotated[str, typer.Option(help="stock, confluent")] = "stock,confluent",
    out: Out = RESULTS,
) -> None:
    """Time the whole ingest job against the same job by hand, on one topic; compare the sums."""
    names = tuple(name for name in rivals.split(",") if name)
    plan = ingest_bench.IngestPlan(base, repeats, series, codec, runs, names)
    with _measuring("ingest") as (home, around):
        result = ingest_bench.measure(plan, home, DATA_DIR)
    report.save("ingest", result, around, out)
    report.plot_ingest(result, out / "ingest.png")
    _show_ingest(result, around)
    if any(result["rivals_differ"].values()) or any(run["differences"] > 0 for run in result["ours"]):
        _fail("sums differ")


def _show_ingest(result: dict[str, Any], around: dict[str, Any]) -> None:
    stock = result["rivals"].get("stock")
    rows = []
    for name, run in result["rivals"].items():
        faster = f"{report.rate(run) / report.rate(stock):.1f} x" if stock else ""
        cpu = f"{run['events'] / run['cpu_seconds']:,.0f}"
        rows.append([name, f"{report.rate(run):,.0f}", "", cpu, f"{run['rss_bytes'] / 1e6:.0f}", faster, ""])
    for number, run in enumerate(result["ours"], 1):
        faster = f"{run['events_per_s'] / report.rate(stock):.0f} x" if stock else ""
        rows.append(
            [f"burnline, run {number}", f"{run['events_per_s']:,.0f}", f"{run['wall_events_per_s']:,.0f}",
             f"{run['events'] / run['cpu_seconds']:,.0f}", f"{run['rss_bytes'] / 1e6:.0f}", faster,
             {0: "equal", -1: "-"}.get(run["differences"], "DIFFER")]
        )  # fmt: skip
    filled = result["filled"]
    title = (
        f"Ingest: {filled['events']:,} events of {result['mean_event_bytes']:.0f} B ({filled['codec']}), "
        f"{result['series']:,} series, 3 objectives, 3 sketches; goal {report.GOALS['events_per_s']:,}/s and "
        f"{report.GOALS['ratio']} x"
    )
    report.show(title, ["", "events/s", "by wall", "per CPU s", "RSS MB", "stock", "sums"], rows, around)


@cli.command()
def kernel(
    events: Annotated[int, typer.Option(help="distinct events")] = 200_000,
    series: Series = 1_000,
    repeats: Annotated[int, typer.Option(help="the best is shown")] = 40,
    out: Out = RESULTS,
) -> None:
    """Time decode and fold alone, on one core."""
    with _measuring("kernel") as (home, around):
        result = kernel_bench.measure(events, series, repeats, home, DATA_DIR.resolve())
    report.save("kernel", result, around, out)
    report.plot_kernel(result, out / "kernel.png")
    rows = [
        [name, f"{cost['mean_bytes']:.0f}", f"{cost['fold_ns']:.0f}", f"{cost['unit_ns']:.0f}"]
        for name, cost in result["costs"].items()
    ]
    title = f"Kernel: ns of processor an event; goal < {report.GOALS['fold_ns']} at 16 fields"
    report.show(title, ["writer", "bytes", "decode and fold", "whole unit"], rows, around)


@cli.command()
def latency(
    rate: Annotated[int, typer.Option(help="events a second")] = 100_000,
    models: Annotated[int, typer.Option(help="SLO instances of each of three SLOs")] = 60,
    every_s: Annotated[float, typer.Option(help="between two models turning bad")] = 1.3,
    out: Out = RESULTS,
) -> None:
    """Time alerts from the event that makes them due to their append, under load."""
    seconds = latency_bench.BASE_S + models * every_s + 15
    plan = PacePlan("", "", rate, seconds, models, bad_from_s=latency_bench.BASE_S, bad_every_s=every_s)
    with _measuring("latency") as (home, around):
        result = latency_bench.measure_latency(plan, home, DATA_DIR)
    report.save("latency", result, around, out)
    if result["alerts"]:
        report.plot_latency(result, out / "latency.png")
    _show_latency(result, around)
    if result["alerts"] != result["expected_alerts"] or result["unexplained_alerts"]:
        _fail(f"{result['alerts']} alerts instead of {result['expected_alerts']}, {result['unexplained_alerts']} more")


def _show_latency(result: dict[str, Any], around: dict[str, Any]) -> None:
    rows = []
    for name, label in (("after_event_s", "after the event"), ("after_window_end_s", "after the window's end")):
        values = sorted(result[name]) or [float("nan")]
        shown = (values[int(q * (len(values) - 1))] for q in (0.5, 0.9, 0.99, 1.0))
        rows.append([label, *(f"{value:.2f}" for value in shown)])
    title = (
        f"Alert delay in seconds: {result['alerts']} alerts at {result['events_per_s']:,.0f} events/s "
        f"(asked: {result['plan']['rate']:,}); goal P99 < {report.GOALS['p99_s']:g} s"
    )
    report.show(title, ["", "P50", "P90", "P99", "most"], rows, around)


@cli.command()
def alerting(
    rate: Annotated[int, typer.Option(help="events a second, of the load that is asked for")] = 100_000,
    killed_rate: Annotated[int, typer.Option(help="events a second while the worker is killed")] = 20_000,
    idle_rate: Annotated[int, typer.Option(help="events a second when there is little to do")] = 400,
    models: Annotated[int, typer.Option(help="SLO instances of each of three SLOs")] = 24,
    every_s: Annotated[float, typer.Option(help="between two models turning bad")] = 2.0,
    only: Annotated[str, typer.Option(help="idle, load, crash: those of them")] = "idle,load,crash",
    out: Out = RESULTS,
) -> None:
    """Time alerts from when they are due until they are known, beside a Prometheus that sees the same stream."""
    known = {
        "idle": alerting_bench.Load("idle", idle_rate), "load": alerting_bench.Load("load", rate),
        "crash": alerting_bench.Load("crash", killed_rate, is_killed=True),
    }  # fmt: skip
    loads = [known[name] for name in only.split(",")]
    with _measuring("alerting") as (home, around):
        result = alerting_bench.measure(loads, models, every_s, home, DATA_DIR)
    report.save("alerting", result, around, out)
    alerting_bench.plot(result, out / "alerting.png")
    title = (
        "Seconds until an alert is known, behind the event that makes it due; `judge may`: behind its second's end "
        f"and grace. Goals: P99 of those within {alerting_bench.GOAL_S:g} s, and {alerting_bench.GOAL_TIMES} times "
        "faster than Prometheus"
    )
    systems = ("judge may", "slo.alerts", "Alertmanager", "Prometheus")
    columns = ["", *(column for system in systems for column in (f"{system} P50", "P99")), "faster", "known"]
    report.show(title, columns, alerting_bench.rows(result), around)
    missing = [load["load"] for load in result["loads"] if len(load["topic"]["seconds"]) != load["due"]]
    if missing:
        _fail(f"alerts that were due never came: {', '.join(missing)}")


@cli.command()
def soak(
    minutes: Annotated[float, typer.Option(help="how long")] = 30.0,
    rate: Annotated[int, typer.Option(help="events a second")] = 30_000,
    attack: Annotated[bool, typer.Option(help="after a quarter of the time, tenants never seen before")] = True,
    series: Series = 1_000,
    out: Out = RESULTS,
) -> None:
    """Watch a worker's memory under a steady load, and under an attack by ever new series."""
    from_s = minutes * 15 if attack else 1e9
    plan = PacePlan("", "", rate, minutes * 60, models=60, series=series, attack_from_s=from_s)
    with _measuring("soak") as (home, around):
        result = soak_bench.measure_soak(plan, home, DATA_DIR)
    report.save("soak", result, around, out)
    soak_bench.plot(result, out / "soak.png")
    _show_soak(result, around)
    if wrong := soak_bench.wrong(result):
        _fail(wrong)


def _show_soak(result: dict[str, Any], around: dict[str, Any]) -> None:
    last = result["rss_bytes"][-1]
    row = [
        f"{result['plan']['seconds'] / 60:g} min", f"{result['events_per_s']:,.0f}",
        f"{result['peak_bytes'] / 1e6:.0f}",
        f"{last / 1e6:.0f}", f"{result['slope_bytes_per_min'] / 1e6:+.2f}", f"{result['intruders']:,}",
        f"{result['series_overflow']:,}", f"{result['instances_refused']:,}",
        f"{result['missing']:,}", f"{result['extra']:,}",
    ]  # fmt: skip
    columns = [
        "", "events/s", "peak MB", "at the end MB", "MB/min in the second half", "new tenants", "events as `other`",
        "instances as `other`", "missing", "extra",
    ]  # fmt: skip
    parts = " + ".join(f"{size / 1e6:.0f} {name}" for name, size in result["bound_parts"].items())
    title = (
        f"Memory of the worker; goal < {report.GOALS['rss_mb']} MB at 1,000 series, and under the attack below "
        f"{result['bound_bytes'] / 1e6:.0f} MB: {parts}"
    )
    report.show(title, columns, [row], around)


@cli.command()
def judge(
    most: Annotated[int, typer.Option(help="SLO instances, from 100 on in powers of ten")] = 100_000,
    seconds: Annotated[int, typer.Option(help="of the stream")] = 20,
    out: Out = RESULTS,
) -> None:
    """Time one judge partition by its instances, on one core; weigh an instance."""
    with _measuring("judge") as (_, around):
        result = judge_bench.measure(tuple(n for n in judge_bench.INSTANCES if n <= most), seconds)
    report.save("judge", result, around, out)
    judge_bench.plot(result, out / "judge.png")
    title = (
        f"Judge, an entry an instance and second; goal {judge_bench.GOALS['stream_ms']} ms of processor a second of "
        f"10,000 instances, {judge_bench.GOALS['bytes'] >> 10} KB an instance"
    )
    columns = ["", "instances", "judged, ns", "a second, ms", "snapshot, ms", "KB of it", "back, ms", "KB an instance"]
    report.show(title, columns, judge_bench.rows(result), around)


@cli.command()
def presets(out: Out = RESULTS) -> None:
    """Judge every scenario under every preset and under bare thresholds: detection, reset, precision, recall."""
    with _measuring("presets") as (_, around):
        result = presets_bench.measure()
    report.save("presets", result, around, out)
    presets_bench.plot(result, out / "presets.png")
    presets_bench.publish(result, DOCS)
    title = f"Alert policies on {len(result['scenarios'])} scenarios; median / most, then detection / reset of one"
    columns = ["", "recall", "precision", "detection", "reset", "trouble", "judged", "SRE Workbook"]
    report.show(title, columns, presets_bench.rows(result), around)


@cli.command()
def shedding(
    seeds: Annotated[int, typer.Option(help="runs of each strategy")] = 10,
    out: Out = RESULTS,
) -> None:
    """Surge three times the load on a fleet that stays as it is: does the critical class keep its SLO?"""
    with _measuring("shedding") as (_, around):
        result = shedding_bench.measure(range(101, 101 + seeds))  # the limits were chosen on others
    report.save("shedding", result, around, out)
    shedding_bench.plot(101, out / "shedding.png")
    title = f"A surge of 3x for 15 min on 8 replicas: good of a class's requests (of {seeds} seeds, kept its SLO)"
    report.show(title, shedding_bench.COLUMNS, shedding_bench.rows(result), around)


@cli.command()
def frontier(
    trials: Annotated[int, typer.Option(help="eight hours of each configuration, seen so often")] = 10,
    out: Out = RESULTS,
) -> None:
    """Recover the Pareto frontier of the simulated fleet from little, and compare it with the true one."""
    with _measuring("frontier") as (_, around):
        result = frontier_bench.measure(trials)
    for folder in (out, DOCS):
        frontier_bench.plot(result, folder / "frontier.png")
    report.save("frontier", {name: value for name, value in result.items() if name != "placed"}, around, out)
    title = (
        f"Frontier of {result['configurations']} configurations, one of {trials} trials; of {result['sure']} sure "
        f"verdicts {result['wrong']} wrong; {result['found']} of {trials * result['true_frontier']} found; cost is off "
        f"by {result['cost_error_ratio']:.1%}, P99 by {result['p99_error_ratio']:.1%}"
    )
    columns = ["", "true", "seen", "sure", "USD for 1k", "true", "P99, s", "true"]
    report.show(title, columns, frontier_bench.rows(result), around)


@cli.command()
def scaling(out: Out = RESULTS) -> None:
    """Let autoscalers live through loads in a closed loop: SLO minutes lost and accelerator hours of each."""
    with _measuring("scaling") as (_, around):
        result = scaling_bench.measure()
    report.save("scaling", result, around, out)
    scaling_bench.plot(result, out / "scaling.png")
    scaling_bench.plot(result, DOCS / "scaling.png")
    title = "Autoscalers in a closed loop; means over seeds; tuned: what loses least for no more hours than burnline"
    columns = ["", "", "setting", "minutes lost", "bad", "GPU hours", "replicas", "orders", "flaps"]
    report.show(title, columns, scaling_bench.rows(result), around)
    if wrong := scaling_bench.wrong(result):
        _fail(wrong)


@cli.command()
def forecast(
    only: Annotated[str, typer.Option(help="series with this in their names")] = "",
    out: Out = RESULTS,
) -> None:
    """Try every model of forecasting on real arrivals and on simulated seasons, from rolling origins."""
    with _measuring("forecast") as (_, around):
        result = forecast_bench.measure(only, lambda name: Console(stderr=True).print(name, style="dim"))
    report.save("forecast", result, around, out)
    forecast_bench.plot(result, out / "forecast.png")
    if not only:
        forecast_bench.plot(result, DOCS / "forecast.png")
    title = (
        "Forecasts: mean errors in those of last season's values, on rolling origins; proved: on origins that had no "
        "part in choosing; inside: of what came within q10 .. q90, 80 % is meant"
    )
    report.show(title, forecast_bench.COLUMNS, forecast_bench.rows(result), around)
    if wrong := forecast_bench.wrong(result):
        _fail(wrong)


@cli.command()
def capacity(seeds: Annotated[int, typer.Option(help="fleets")] = 3, out: Out = RESULTS) -> None:
    """Measure how many requests in flight replicas of a simulated fleet take, and compare it with the true knees."""
    with _measuring("capacity") as (_, around):
        result = capacity_bench.measure(range(1, seeds + 1))
    report.save("capacity", result, around, out)
    capacity_bench.plot(result, out / "capacity.png")
    title = f"Capacity against true knees, {result['events']:,} events of {seeds} fleets; goal within 10 %"
    report.show(title, capacity_bench.COLUMNS, capacity_bench.table(result), around)


@cli.command()
def views(
    instances: Annotated[int, typer.Option(help="SLO instances of each of a hundred SLOs")] = 100,
    days: Annotated[int, typer.Option(help="of history")] = 30,
    out: Out = RESULTS,
) -> None:
    """Ask every view about one SLO, with everybody else's history around it."""
    with _measuring("views") as (home, around):
        result = views_bench.measure(views_bench.Size(instances=instances, days=days), home)
    report.save("views", result, around, out)
    views_bench.plot(result, out / "views.png")
    stored = sum(result["rows"].values())
    title = (
        f"Views, one SLO of a hundred, {100 * instances:,} instances, {days} days, {stored:,} rows; goal "
        f"{views_bench.GOAL_MS} ms"
    )
    columns = ["", "goal, ms", "cpu, ms", "least, ms", "median, ms", "most, ms", "rows"]
    report.show(title, columns, views_bench.rows(result), around)
    for each in result["refreshed"]:
        took = f"{each['sum_s']:.1f} s, {each['median_s']:.2f} s each"
        print(f"{each['table']}: {each['parts']} parts counted anew in {took}")
    for line in page_bench.lines(result["page"]) if result["page"] else ["page: no Chromium, run `make chromium`"]:
        print(line)
    kept = result["stored"]
    title = (
        f"{kept['events']:,} events stored at {kept['events_per_s']:,.0f}/s, {kept['rows_per_s']:,.0f} rows/s; a raw "
        f"event takes {kept['raw_bytes_an_event']:.1f} bytes, all slices and counts {kept['slices_bytes_an_event']:.1f}"
    )
    report.show(title, ["", "rows", "kB", "bytes a row", "bytes an event", "parts"], stored_bench.rows(kept), around)


@contextmanager
def _measuring(name: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Give a directory for servers, and note the surroundings before anything is busy."""
    around = report.surroundings()
    Console(stderr=True).print(f"measuring {name} ...", style="dim")
    with tempfile.TemporaryDirectory(prefix="burnline-bench-") as home:
        yield Path(home), around


def _fail(why: str) -> None:
    typer.echo(f"bench: {why}", err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    cli()
