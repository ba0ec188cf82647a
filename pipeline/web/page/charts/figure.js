// A chart with all that belongs to it: its name and unit, what it says in one sentence, the numbers as a table, and the SQL.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import "./chart.js";
import { local, NO_DATA, utc } from "../format.js";
import { broken, heads, past, sql, table } from "../parts.js";

const ROWS_MOST = 120; // in the table: the newest; all of them are one SQL away
const opened = new Set();

const cell = (series, n) => {
  const value = series.values[n];
  return value === null || value === undefined
    ? html`<td class="number unknown">${NO_DATA}</td>`
    : html`<td class="number">${series.format(value)}</td>`;
};

function rows({ t, label, ...spec }) {
  const series = spec.table ?? spec.series;
  const newest = t.map((_, n) => t.length - 1 - n).slice(0, ROWS_MOST);
  const row = (n) =>
    html`<tr>
      <th scope="row" title=${utc(new Date(t[n] * 1000))}>${local(new Date(t[n] * 1000))}</th>
      ${series.map((each) => cell(each, n))}
    </tr>`;
  return table(`${label}, as a table`, heads("Time", ...series.map((each) => [each.label])), newest.map(row), "short");
}

function numbers(id, spec) {
  const toggled = (event) => {
    if (event.target.open === opened.has(id)) return;
    if (!opened.delete(id)) opened.add(id);
    dispatchEvent(new Event("redraw"));
  };
  return html`<details class="numbers" @toggle=${toggled}>
    <summary>Numbers</summary>
    ${opened.has(id) ? rows(spec) : nothing}
  </details>`;
}

/** Draw a resource as a figure. `draw(data)` says `{spec, summary}`, or null when there is nothing in it. */
export function figure({ id, title, unit, resource, draw, wide = false }) {
  const isPast = resource.data && resource.problem;
  return html`<figure class="${wide ? "full" : ""} ${isPast ? "is-past" : ""}" id=${id} aria-labelledby=${`${id}-title`}>
    <figcaption>
      <h2 id=${`${id}-title`}>${title}</h2>
      <span class="muted">${unit}</span>
    </figcaption>
    ${past(resource)} ${inside(id, resource, draw)}
  </figure>`;
}

function inside(id, resource, draw) {
  const { data, problem } = resource;
  if (!data)
    return problem
      ? broken(problem, () => dispatchEvent(new Event("refresh")))
      : html`<div class="blank chart-sized" role="status"><span class="visually-hidden">Loading</span></div>`;
  const drawn = draw(data);
  if (!drawn)
    return html`<div class="chart-sized nothing"><p>${data.note ?? "No data in this time range."}</p></div>
      ${sql(data.sql)}`;
  return html`<burn-chart .spec=${{ ...drawn.spec, label: drawn.summary }}></burn-chart>
    <p class="summary">${drawn.summary} ${data.note ?? nothing}</p>
    <div class="below">${numbers(id, drawn.spec)} ${sql(data.sql)}</div>`;
}
