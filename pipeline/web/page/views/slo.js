// One SLO instance: how it stands, how it came to that, and what it promises.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { figure } from "../charts/figure.js";
import { burn, count, duration, labelled, lasts, percent, target } from "../format.js";
import { announce, heads, sql, stat, table, time, value, whole } from "../parts.js";
import { Resource } from "../resource.js";
import { ask, link } from "../router.js";
import { badge } from "../standing.js";
import { budget, burnRate, counts, heatmap, latency, ranges, rangeText } from "./slo_charts.js";
import { definition, exemplars, marksList, requests } from "./slo_definition.js";
import { Verdicts } from "./verdicts.js";

const CHARTS = ["budget", "burn", "counts", "latency", "heatmap", "marks", "exemplars", "requests"];
const REFRESH_MS = 10_000;


export class Slo {
  #refreshedAt = 0;
  #asked = null;
  #standing = "";

  constructor(redraw) {
    this.redraw = redraw;
    this.summary = new Resource(redraw);
    this.summary.retry = () => this.refresh();
    this.verdicts = new Verdicts(redraw);
    this.charts = Object.fromEntries(CHARTS.map((name) => [name, new Resource(redraw)]));
  }

  get title() {
    return this.slo;
  }

  route({ subject, params }) {
    this.slo = subject;
    this.instance = params.has("instance") ? params.get("instance") : null;
    this.from = params.get("from") ?? "-6h";
    this.to = params.get("to") ?? "now";
    const asked = JSON.stringify([subject, this.instance, this.from, this.to]);
    if (asked === this.#asked) return;
    this.#standing = "";
    this.refresh();
    this.#asked = asked;
  }

  async refresh() {
    const turn = (this.#refreshedAt = performance.now());
    const path = `slos/${encodeURIComponent(this.slo)}`;
    const asked = this.instance === null ? {} : { instance: this.instance };
    await this.summary.load(path, asked);
    if (turn !== this.#refreshedAt || !this.summary.data?.row) return;
    this.#noticed();
    const range = { instance: this.summary.data.row.instance, from: this.from, to: this.to };
    for (const name of CHARTS) this.charts[name].load(`${path}/${name}`, range);
  }

  /** Say aloud when it stands otherwise than before. */
  #noticed() {
    const now = this.summary.data?.row?.standing;
    if (now && this.#standing && now !== this.#standing) announce(`${this.slo} is now ${now.replace("_", " ")}`);
    this.#standing = now ?? "";
  }

  close() {
    for (const resource of [this.summary, ...Object.values(this.charts)]) resource.close();
  }

  live() {
    return new URLSearchParams({ slo: this.slo, limit: 500 });
  }

  /** New numbers are shown at once; charts follow when the time range ends now. */
  heard(event, { rows = [] }) {
    const row = this.summary.data?.row;
    const newer = row && rows.find(({ id }) => id === row.id);
    if (newer) this.summary.data.row = { ...newer, trend: row.trend };
    this.#noticed();
    const isDue = performance.now() - this.#refreshedAt > REFRESH_MS;
    if (isDue && this.to === "now") this.refresh();
    else this.redraw();
  }

  draw(isOld) {
    return html`<div class="view slo">
      ${whole(this.summary, this.slo, (data, isPast) => html`${this.#top(data, isPast)} ${data.row ? this.#instance(data) : this.#choice(data, isPast)}`, isOld)}
    </div>`;
  }

  #top({ slo, row, definition, instances, instances_total: total }, isOld) {
    return html`<div class="heading">
      <div>
        <nav aria-label="Breadcrumb">
          <a href="/">Fleet</a> <span class="muted">/</span> <a href=${link("fleet", "", { slo })}>${slo}</a>
        </nav>
        <h1>${slo} ${row ? badge(row.standing, isOld) : nothing}</h1>
        <p>${definition?.description ?? row?.description ?? nothing}</p>
      </div>
      ${total > 1 && row ? this.#picker(row, instances, total) : nothing}
    </div>`;
  }

  #picker(row, instances, total) {
    const known = instances.some(({ instance }) => instance === row.instance) ? instances : [row, ...instances];
    return html`<div class="controls">
      <label
        >Instance (${count(total)})
        <select id="instance" @change=${(event) => ask({ instance: event.target.value })}>
          ${known.map(({ instance, standing }) => html`<option value=${instance} ?selected=${instance === row.instance}>${instance || "(all)"} · ${standing.replace("_", " ")}</option>`)}
        </select>
      </label>
    </div>`;
  }

  #choice({ slo, instances, instances_total: total, definition: defined, ...data }, isOld) {
    if (!total)
      return html`<div class="box empty">
          <p class="box-title">Not judged yet</p>
          <p>No event of this SLO has been counted: there is nothing to show but what it promises.</p>
        </div>
        ${definition({ definition: defined, ...data })}`;
    return html`<h2>${count(total)} instances</h2>
      ${table(
        "Instances",
        heads("State", "Instance", ["Budget left"], ["Burn now"]),
        instances.map(
          (each) =>
            html`<tr>
              <td>${badge(each.standing, isOld)}</td>
              <th scope="row">
                <a href=${link("slo", slo, { instance: each.instance })}>${labelled(each.instance) || "(all)"}</a>
              </th>
              <td class="number">${value(percent(each.budget_remaining_ratio, 1))}</td>
              <td class="number">${value(burn(each.burn_rate))}</td>
            </tr>`,
        ),
      )}
      ${total > instances.length ? html`<p class="muted">The ${count(instances.length)} worst are shown; <a href=${link("fleet", "", { slo })}>all in the fleet</a>.</p>` : nothing}
      ${definition({ definition: defined, ...data })}`;
  }

  #instance(data) {
    const { row } = data;
    const marks = this.charts.marks.data?.items ?? [];
    const verdict = (mark) => this.verdicts.of(this.slo, row.instance, mark);
    return html` <p class="labels">
        ${row.instance ? row.instance.split(",").map((label) => html`<span class="label">${label}</span>`) : html`<span class="muted">one instance</span>`}
        <span class="muted">judged up to ${time(row.window_end)}</span>
      </p>
      ${this.#stats(row)} ${this.#range()} ${this.#figures(marks)}
      <div class="columns">${marksList(this.charts.marks, verdict)} ${exemplars(this.charts.exemplars)} ${definition(data)}</div>
      ${requests(this.charts.requests)} ${sql(data.sql?.row, "SQL of the numbers on top")}`;
  }

  #stats(row) {
    const spent =
      row.time_to_exhaustion_s === null
        ? "not burning"
        : `${lasts(row.time_to_exhaustion_s)} at ${burn(row.exhaustion_burn_rate)}`;
    const windows = row.burn.map((each) => `${duration(each.window_s)}: ${burn(each.burn_rate)}`).join(" · ");
    return html`<dl class="stats" aria-label="Now">
      ${stat("Compliance", percent(row.compliance_ratio, 3), `target ${target(row.target)} over ${duration(row.window_s)}`)}
      ${stat("Budget left", percent(row.budget_remaining_ratio, 1), spent)}
      ${stat("Burn now", burn(row.burn_rate), windows)}
      ${stat("Good", count(row.good), `${count(row.bad)} bad, ${count(row.excluded)} excluded`)}
      ${stat("Coverage", percent(row.coverage_ratio, 1), "of the window was measured")}
      ${row.sla ? stat("SLA budget left", percent(row.sla.budget_remaining_ratio, 1), `contract: ${target(row.sla.target)}`) : nothing}
    </dl>`;
  }

  #range() {
    const isCustom = !(this.from in ranges && this.to === "now");
    return html`<div class="controls range">
      <div class="group" role="group" aria-label="Time range">
        ${Object.entries(ranges).map(([from, word]) => html`<button aria-pressed=${!isCustom && from === this.from} @click=${() => ask({ from: from === "-6h" ? "" : from, to: "" })}>${word}</button>`)}
      </div>
      <span class="muted"
        >${isCustom ? html`${rangeText(this.from, this.to)} <button class="quiet" @click=${() => ask({ from: "", to: "" })}>back to now</button>` : "drag over a chart to look closer"}</span
      >
    </div>`;
  }

  #figures(marks) {
    const zoom = (from, to) => ask({ from, to });
    const drawn = (draw) => (data) => draw(data, marks, zoom);
    const parts = [
      {
        id: "budget",
        title: "Error budget left",
        unit: "share, over the SLO's window",
        draw: drawn(budget),
        wide: true,
      },
      { id: "burn", title: "Burn rate by window", unit: "times the budget's pace", draw: drawn(burnRate) },
      { id: "counts", title: "Good and bad", unit: "requests per step", draw: drawn(counts) },
      { id: "latency", title: "Latency", unit: "P50, P95, P99", draw: drawn(latency) },
      { id: "heatmap", title: "Latency, all of it", unit: "requests by latency", draw: drawn(heatmap) },
    ];
    return html`<div class="figures">${parts.map((part) => figure({ ...part, resource: this.charts[part.id] }))}</div>`;
  }
}
