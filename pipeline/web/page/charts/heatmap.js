// A heat map is a uPlot chart whose cells are painted under its axes: time by latency, the more requests the stronger.

import { colour } from "../theme.js";

const SHADES = 8;

/** A uPlot hook that paints `counts[column][row]` between `edges`; columns without data stay hatched. */
export function cells({ t, step, edges, counts }) {
  const most = Math.max(1, ...counts.map((column) => (column ? Math.max(...column) : 0)));
  return (chart) => {
    const { ctx, bbox } = chart;
    const shades = Array.from({ length: SHADES }, (_, n) => colour("p50", 0.1 + (0.9 * (n + 1)) / SHADES));
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    counts.forEach((column, n) => {
      const left = Math.round(chart.valToPos(t[n], "x", true));
      const right = Math.round(chart.valToPos(t[n] + step, "x", true));
      if (column) painted(chart, column, edges, left, right, most, shades);
      else missing(ctx, left, right, bbox);
    });
    ctx.restore();
  };
}

function painted(chart, column, edges, left, right, most, shades) {
  column.forEach((count, row) => {
    if (!count) return;
    const [bottom, top] = [edges[row], edges[row + 1]].map((edge) => Math.round(chart.valToPos(edge, "y", true)));
    // The root shows few slow requests beside many fast ones.
    chart.ctx.fillStyle = shades[Math.min(SHADES - 1, Math.floor(Math.sqrt(count / most) * SHADES))];
    chart.ctx.fillRect(left, top, Math.max(1, right - left), Math.max(1, bottom - top));
  });
}

function missing(ctx, left, right, bbox) {
  ctx.fillStyle = colour("unknown", 0.12);
  ctx.fillRect(left, bbox.top, right - left, bbox.height);
}
