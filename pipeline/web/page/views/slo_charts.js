// What each chart of an SLO shows: answers of the API in, specifications for charts/chart.js and a sentence out. A
// specification's `key` changes when anything does that is drawn.

import { cells } from "../charts/heatmap.js";
import { lines, under } from "../charts/marks.js";
import { burn, compact, count, duration, local, micros, percent } from "../format.js";

const last = (values) => values.findLast((value) => value !== null && value !== undefined);
const most = (values) => values.reduce((top, value) => (value !== null && value > top ? value : top), -Infinity);
const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);
const isEmpty = (...columns) =>
  !columns.length || columns.every((values) => values.every((value) => value === null || value === undefined));
const TOKENS = { CRITICAL: "critical", WARNING: "warning", INFO: "muted" };

const behind = (marks, data) => under(marks, data.to ?? data.t.at(-1)); // an alert that is open reaches to the edge

const keyed = (data, marks, more = "") =>
  `${data.from} ${data.to} ${data.t?.length} ${data.t?.at(-1)} ${marks.length} ${more}`;
const sight = (data) => (data.from && data.to ? [data.from, data.to] : undefined);

export function budget(data, marks) {
  const ratios = data.remaining_ratio;
  if (isEmpty(ratios)) return null;
  const left = last(ratios);
  const format = (ratio) => percent(ratio, 0);
  const series = [
    {
      label: "Budget left",
      values: ratios,
      token: left < 0 ? "bad" : "good",
      fill: 0.12,
      width: 2,
      format: (ratio) => percent(ratio, 1),
    },
  ];
  return {
    summary: `${percent(left, 1)} of the budget is left; at the start of the window it was ${percent(
      ratios.find((ratio) => ratio !== null),
      1,
    )}.`,
    spec: {
      key: keyed(data, marks, left),
      t: data.t,
      series,
      y: { min: Math.min(0, ...ratios.filter((ratio) => ratio !== null)), max: 1, format },
      under: behind(marks, data),
      over: lines([{ value: 0, label: "spent", token: "critical" }]),
    },
  };
}

const BURN_TOKENS = ["p99", "p95", "p50", "muted"];
const DASHES = [undefined, [6, 3], [2, 3], [8, 3, 2, 3]];

export function burnRate(data, marks, zoom) {
  if (isEmpty(...data.windows.map((window) => window.burn_rate))) return null;
  const series = data.windows.map(({ window_s, burn_rate }, n) => ({
    label: duration(window_s),
    values: burn_rate,
    token: BURN_TOKENS[n % 4],
    dash: DASHES[n % 4],
    format: burn,
  }));
  const levels = data.thresholds.map(({ severity, factor, long_s, short_s }) => ({
    value: factor,
    token: TOKENS[severity] ?? "muted",
    label: `${severity.toLowerCase()} ${factor}× over ${duration(long_s)} and ${duration(short_s)}`,
  }));
  const now = data.windows
    .map(({ window_s, burn_rate }) => `${burn(last(burn_rate) ?? null)} over ${duration(window_s)}`)
    .join(", ");
  const top = Math.max(...data.windows.map((window) => most(window.burn_rate)), ...levels.map(({ value }) => value), 1);
  return {
    summary: `Now ${now}. At 1× the budget lasts exactly the period.`,
    spec: {
      key: keyed(data, marks, now),
      x: sight(data),
      t: data.t,
      series,
      zoom,
      y: { min: 0, max: top, format: (rate) => `${+rate.toPrecision(3)}×` },
      under: behind(marks, data),
      over: lines([{ value: 1, label: "1×", token: "muted" }, ...levels]),
    },
  };
}

export function counts(data, marks, zoom) {
  if (isEmpty(data.good, data.bad)) return null;
  const all = data.good.map((good, n) => (good === null ? null : good + (data.bad[n] ?? 0)));
  const [good, bad] = [sum(data.good), sum(data.bad)];
  // Bad is drawn over good + bad, so that the bars are stacked; the table and the legend say each alone.
  const both = { label: "Good and bad", values: all, token: "good", fill: 0.55, bars: true, width: 0, format: count };
  const failed = { label: "Bad", values: data.bad, token: "bad", fill: 0.9, bars: true, width: 0, format: count };
  const excluded = { label: "Excluded", values: data.excluded, token: "muted", dash: [2, 3], width: 1, format: count };
  return {
    summary: `${count(good)} good, ${count(bad)} bad, ${count(sum(data.excluded))} excluded, in steps of ${duration(data.step_s)}.`,
    spec: {
      key: keyed(data, marks, `${good} ${bad}`),
      x: sight(data),
      t: data.t,
      zoom,
      under: behind(marks, data),
      series: [both, failed, excluded],
      table: [{ ...both, label: "Good", values: data.good }, failed, excluded],
      y: { min: 0, max: 1, format: compact },
    },
  };
}

export function latency(data, marks, zoom) {
  if (isEmpty(data.p99_us)) return null;
  const of = (label, values, token, dash) => ({ label, values, token, dash, format: micros });
  const series = [
    of("P99", data.p99_us, "p99"),
    of("P95", data.p95_us, "p95", [6, 3]),
    of("P50", data.p50_us, "p50", [2, 3]),
  ];
  const objective = data.objective_us
    ? [{ value: data.objective_us, label: `objective ${micros(data.objective_us)}`, token: "critical" }]
    : [];
  const against = data.objective_us ? ` The objective is ${micros(data.objective_us)}.` : "";
  return {
    summary: `${data.metric}: P50 ${micros(last(data.p50_us) ?? null)}, P95 ${micros(last(data.p95_us) ?? null)}, P99 ${micros(last(data.p99_us) ?? null)} at the end.${against} From sketches, within 1 %.`,
    spec: {
      key: keyed(data, marks, last(data.p99_us)),
      x: sight(data),
      t: data.t,
      series,
      zoom,
      under: behind(marks, data),
      over: lines(objective),
      y: { min: 0, max: (data.objective_us ?? 1) * 1.1, format: micros },
    },
  };
}

/** The numbers of a heat map's table: per column how many, and how slow the fullest cell was. */
function columns({ counts, edges_us }) {
  const fullest = counts.map((column) => (column ? column.indexOf(Math.max(...column)) : null));
  return [
    { label: "Requests", values: counts.map((column) => column && sum(column)), token: "p50", format: count, width: 0 },
    {
      label: "Most up to",
      values: fullest.map((row) => (row === null ? null : edges_us[row + 1])),
      token: "p50",
      format: micros,
      width: 0,
    },
  ];
}

export function heatmap(data, marks, zoom) {
  if (!data.counts.some(Boolean)) return null;
  const edges = data.edges_us;
  const objective = data.objective_us
    ? [{ value: data.objective_us, label: `objective ${micros(data.objective_us)}`, token: "critical" }]
    : [];
  const [requests, fullest] = columns(data);
  return {
    summary: `${data.metric} of ${count(sum(requests.values))} requests, from ${micros(edges[0])} to ${micros(edges.at(-1))}; the stronger the colour, the more.`,
    spec: {
      key: keyed(data, marks, sum(requests.values)),
      x: sight(data),
      t: data.t,
      series: [{ ...fullest, hidden: true }],
      table: [requests, fullest],
      zoom,
      hasNoLegend: true,
      y: { log: true, min: 10 ** Math.floor(Math.log10(edges[0])), max: edges.at(-1), format: micros },
      under: cells({ t: data.t, step: data.step_s, edges, counts: data.counts }),
      over: lines(objective),
    },
  };
}

export const ranges = { "-1h": "1 h", "-6h": "6 h", "-24h": "24 h", "-7d": "7 d", "-30d": "30 d" };

/** A time range in words: the last 6 h, or from when to when. */
export function rangeText(from, to) {
  if (from in ranges && to === "now") return `the last ${ranges[from]}`;
  const said = (text) => (/^\d+$/.test(text) ? local(new Date(text * 1000)) : text);
  return `${said(from)} to ${said(to)}`;
}
