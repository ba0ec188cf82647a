// A trend line in a table's cell: burn rates of the last hours, against a dotted line at 1. Gaps where nothing is known.

import { html, svg } from "../vendor/lit-html/lit-html.js";
import { burn, duration } from "../format.js";

const [WIDTH, HEIGHT, MOST] = [96, 20, 12];

const height = (rate) => HEIGHT - 1 - (Math.min(rate, MOST) / MOST) ** 0.5 * (HEIGHT - 3);

function path(rates) {
  const step = WIDTH / Math.max(1, rates.length);
  let text = "";
  rates.forEach((rate, n) => {
    if (rate === null) return;
    const isNew = n === 0 || rates[n - 1] === null;
    text += `${isNew ? "M" : "L"}${(n * step).toFixed(1)} ${height(rate).toFixed(1)}H${((n + 1) * step).toFixed(1)}`;
  });
  return text;
}

export function trend(rates, stepS) {
  const known = rates?.filter((rate) => rate !== null) ?? [];
  if (!known.length) return html`<span class="unknown">no data</span>`;
  const said = `Burn rate of the last ${duration(rates.length * stepS)}: ${burn(rates.at(-1))} at the end, at most ${burn(Math.max(...known))}`;
  const isHigh = known.at(-1) >= 1;
  return html`<svg class="trend ${isHigh ? "high" : ""}" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label=${said}>
    <title>${said}</title>
    ${svg`<line x1="0" x2=${WIDTH} y1=${height(1)} y2=${height(1)} class="budget"></line><path d=${path(rates)}></path>`}
  </svg>`;
}
