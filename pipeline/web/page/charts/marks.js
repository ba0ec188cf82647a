// What happened, drawn over a chart: alerts as bands in which they fired, everything else as a dashed line with its letter.
// Drawn by uPlot's hooks; the same marks are listed in words below the charts.

import { instant } from "../format.js";
import { colour } from "../theme.js";

const LETTERS = { alert: "A", correction: "C", revision: "R", note: "N", change: "D" };
const LABEL_PX = 13;
const TOKENS = { CRITICAL: "critical", WARNING: "warning" };

const seconds = (text) => (text ? instant(text).getTime() / 1000 : null);
const ratio = () => devicePixelRatio || 1;

/** A uPlot hook that draws what lies in sight. */
export function under(marks, now) {
  return (chart) => {
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const mark of marks) drawn(chart, mark, now);
    ctx.restore();
  };
}

function drawn(chart, mark, now) {
  const { ctx, bbox } = chart;
  const token = TOKENS[mark.severity] ?? "muted";
  const [from, until] = [
    seconds(mark.at),
    mark.kind === "revision" ? null : (seconds(mark.until) ?? (mark.kind === "alert" ? now : null)),
  ];
  const left = chart.valToPos(from, "x", true);
  if (until) {
    ctx.fillStyle = colour(token, 0.12);
    ctx.fillRect(left, bbox.top, Math.max(2, chart.valToPos(until, "x", true) - left), bbox.height);
  }
  ctx.strokeStyle = ctx.fillStyle = colour(token);
  ctx.lineWidth = ratio();
  ctx.setLineDash(mark.kind === "alert" ? [] : [4 * ratio(), 3 * ratio()]);
  ctx.beginPath();
  ctx.moveTo(left, bbox.top);
  ctx.lineTo(left, bbox.top + bbox.height);
  ctx.stroke();
  ctx.font = `600 ${10 * ratio()}px sans-serif`;
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  const below = mark.kind === "alert" ? 2 : 14; // a deploy and its alert are often close
  ctx.fillText(LETTERS[mark.kind] ?? "·", left + 3 * ratio(), bbox.top + below * ratio());
}

/** Text that stays legible over lines. */
function written(ctx, text, x, y) {
  ctx.save();
  ctx.setLineDash([]);
  ctx.lineJoin = "round";
  ctx.lineWidth = 4 * ratio();
  ctx.strokeStyle = colour("raised");
  ctx.strokeText(text, x, y);
  ctx.fillText(text, x, y);
  ctx.restore();
}

/** A uPlot hook that draws horizontal lines: `[{value, label, token}]`; labels of lines that are close stand in a row. */
export function lines(levels) {
  return (chart) => {
    const { ctx, bbox } = chart;
    let [last, free] = [-Infinity, 0];
    ctx.save();
    ctx.font = `${11 * ratio()}px sans-serif`;
    ctx.textBaseline = "bottom";
    ctx.textAlign = "left";
    for (const { value, label, token } of levels) {
      const y = chart.valToPos(value, "y", true);
      if (y < bbox.top || y > bbox.top + bbox.height) continue;
      ctx.strokeStyle = ctx.fillStyle = colour(token);
      ctx.lineWidth = ratio();
      ctx.setLineDash([6 * ratio(), 4 * ratio()]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      const x = Math.abs(y - last) < LABEL_PX * ratio() ? free : bbox.left + 4 * ratio();
      written(ctx, label, x, y - 2 * ratio());
      [last, free] = [y, x + ctx.measureText(label).width + LABEL_PX * ratio()];
    }
    ctx.restore();
  };
}
