// A chart over time: uPlot in an element, in our colours, as wide as there is room. It knows no SLO.
//
//   <burn-chart .spec=${{ label, t, series, y, hooks, zoom }}></burn-chart>
//
// series: [{label, values, token, format, fill, dash, steps, bars}], y: {min, max, log, format}; zoom(from, to) is called
// with epoch seconds when somebody drags over it. The canvas is a picture to a screen reader; its numbers are in the table
// that figure.js puts beside it.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { colour } from "../theme.js";
import { clock, day, local } from "../format.js";

const HEIGHT = 190;
const FONT = "12px system-ui, 'DejaVu Sans', sans-serif";

const axis = (more) => ({
  stroke: colour("muted"),
  font: FONT,
  grid: { stroke: colour("line"), width: 1 },
  ticks: { stroke: colour("line"), width: 1, size: 4 },
  ...more,
});

/** Times under the axis, as everywhere on the page; the day stands below where it begins. */
function times(_, ticks) {
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : 0;
  return ticks.map((tick, n) => {
    const [date, before] = [new Date(tick * 1000), n ? new Date(ticks[n - 1] * 1000) : null];
    if (step >= 86_400) return day(date);
    const isNewDay = before?.toDateString() !== date.toDateString();
    return `${clock(date, step < 60)}${isNewDay ? `\n${day(date)}` : ""}`;
  });
}

const latest = (values) => values.findLast((value) => value !== null && value !== undefined);
const said = (series, value) => (value === null || value === undefined ? "–" : series.format(value));

function line(series) {
  const stroke = colour(series.token);
  return {
    label: series.label,
    stroke,
    width: series.width ?? 1.5,
    dash: series.dash,
    fill: series.fill ? colour(series.token, series.fill) : undefined,
    show: !series.hidden,
    points: { show: false },
    spanGaps: false,
    paths: series.bars
      ? uPlot.paths.bars({ size: [0.9, 60], align: 1 })
      : series.steps
        ? uPlot.paths.stepped({ align: 1 })
        : undefined,
    value: (_, value, __, at) => said(series, at === null ? latest(series.values) : value),
  };
}

function range(y) {
  return (_, low, high) => {
    const [least, most] = [
      Math.min(low ?? y.min ?? 0, y.min ?? Infinity),
      Math.max(high ?? y.max ?? 1, y.max ?? -Infinity),
    ];
    if (y.log) return [y.min, y.max];
    const room = (most - least || 1) * 0.06;
    return [y.min === least ? least : least - room, most + room];
  };
}

function options(spec, width) {
  const when = (date) => (date === null ? "latest" : local(new Date(date * 1000)));
  return {
    width,
    height: spec.height ?? HEIGHT,
    padding: [10, 12, 0, 0],
    legend: { show: !spec.hasNoLegend, live: true, markers: { width: 2 } },
    cursor: {
      drag: { x: Boolean(spec.zoom), y: false, setScale: false },
      points: { size: 6 },
      sync: { key: "time", setSeries: false },
    },
    scales: {
      x: { time: true, range: spec.x ? () => spec.x : undefined },
      y: { distr: spec.y.log ? 3 : 1, range: range(spec.y) },
    },
    axes: [
      axis({ values: times, space: 70, size: 42 }),
      axis({
        show: !spec.y.hidden,
        size: 62,
        space: 34,
        values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : spec.y.format(tick))),
      }),
    ],
    series: [{ label: "", value: (_, date) => when(date) }, ...spec.series.map(line)],
    hooks: {
      drawClear: spec.under ? [spec.under] : [],
      draw: spec.over ? [spec.over] : [],
      setSelect: [(chart) => zoomed(chart, spec)],
    },
  };
}

function zoomed(chart, spec) {
  const { left, width } = chart.select;
  if (width < 6) return;
  const [from, to] = [left, left + width].map((at) => Math.round(chart.posToVal(at, "x")));
  chart.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  spec.zoom(from, to);
}

class Chart extends HTMLElement {
  #spec = null;
  #chart = null;
  #watch = new ResizeObserver(() => this.#fit());

  connectedCallback() {
    this.#watch.observe(this);
    addEventListener("themechange", this.#again);
    this.#draw();
  }

  disconnectedCallback() {
    this.#watch.disconnect();
    removeEventListener("themechange", this.#again);
    this.#chart?.destroy();
    this.#chart = null;
  }

  set spec(spec) {
    const before = this.#spec;
    this.#spec = spec;
    if (before?.key !== spec.key || !this.#chart) this.#draw();
  }

  #again = () => this.#draw();

  #fit() {
    const width = Math.floor(this.clientWidth);
    if (!this.#chart) this.#draw();
    else if (width && width !== this.#chart.width) this.#chart.setSize({ width, height: this.#chart.height });
  }

  #draw() {
    const width = Math.floor(this.clientWidth);
    if (!this.isConnected || !this.#spec || !width) return;
    this.#chart?.destroy();
    this.#chart = new uPlot(
      options(this.#spec, width),
      [this.#spec.t, ...this.#spec.series.map(({ values }) => values)],
      this,
    );
    const canvas = this.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", this.#spec.label);
  }
}

customElements.define("burn-chart", Chart);
