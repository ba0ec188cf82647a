// Alerts over time, a lane per SLO: a bar from fired to resolved. A picture of the table below it.

import { html } from "../vendor/lit-html/lit-html.js";
import "./chart.js";
import { count, instant } from "../format.js";
import { colour } from "../theme.js";

const [LANE, LANES_MOST] = [22, 14];
const TOKENS = { CRITICAL: "critical", WARNING: "warning" };

const seconds = (text) => instant(text).getTime() / 1000;

/** The SLOs with most alerts, each with its own, worst first. */
function lanesOf(alerts) {
  const lanes = [...Map.groupBy(alerts, ({ slo }) => slo)].map(([slo, own]) => ({ slo, own }));
  return lanes
    .sort((one, other) => other.own.length - one.own.length || one.slo.localeCompare(other.slo))
    .slice(0, LANES_MOST);
}

/** What is worse is drawn over what is not. */
const worstLast = (one, other) => Number(one.severity === "CRITICAL") - Number(other.severity === "CRITICAL");

function bars(lanes, until) {
  return (chart) => {
    const { ctx, bbox } = chart;
    const height = bbox.height / lanes.length;
    const dpr = devicePixelRatio || 1;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    ctx.font = `${11 * dpr}px sans-serif`;
    lanes.forEach(({ slo, own }, lane) => {
      const top = bbox.top + lane * height;
      for (const alert of own.toSorted(worstLast)) bar(chart, alert, top + height * 0.55, height * 0.35, until);
      ctx.fillStyle = colour("muted");
      ctx.fillText(slo, bbox.left + 4 * dpr, top + height * 0.3);
    });
    ctx.restore();
  };
}

function bar(chart, alert, top, height, until) {
  const { ctx } = chart;
  const left = chart.valToPos(seconds(alert.fired_at), "x", true);
  const right = chart.valToPos(alert.resolved_at ? seconds(alert.resolved_at) : until, "x", true);
  ctx.fillStyle = colour(TOKENS[alert.severity] ?? "unknown", alert.is_open ? 1 : 0.6);
  ctx.fillRect(left, top, Math.max(3 * (devicePixelRatio || 1), right - left), height);
}

export function timeline(alerts, asOf) {
  const lanes = lanesOf(alerts);
  const until = seconds(asOf);
  const from = Math.min(...alerts.map((alert) => seconds(alert.fired_at)), until - 3600);
  const label = `Timeline of ${count(alerts.length)} alerts of ${count(lanes.length)} SLOs; the table below has the same.`;
  const spec = {
    key: `${alerts.length} ${alerts.filter((alert) => alert.is_open).length} ${from} ${Math.floor(until / 60)}`,
    label,
    t: [from, until],
    x: [from - (until - from) * 0.03, until],
    height: lanes.length * LANE + 60,
    hasNoLegend: true,
    series: [{ label: "", values: [0, 1], token: "muted", hidden: true, format: String }],
    y: { min: 0, max: 1, format: () => "", hidden: true },
    over: bars(lanes, until),
  };
  return html`<burn-chart class="timeline" .spec=${spec}></burn-chart>`;
}
