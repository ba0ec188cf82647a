// Every SLO instance; what burns is on top.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import "../grid.js";
import { count, duration, percent } from "../format.js";
import { Listing } from "../listing.js";
import { announce, broken, empty, loading, past, sql, time } from "../parts.js";
import { ask, go } from "../router.js";
import { icon, STANDINGS } from "../standing.js";
import { address, COLUMNS } from "./fleet_columns.js";

const FILTERS = ["q", "slo", "service", "label", "standing", "sort", "group"];
const GROUPS = {
  "": "not grouped",
  slo: "by SLO",
  service: "by service",
  standing: "by state",
  "label:team": "by team",
  "label:owner": "by owner",
};
const TYPING_MS = 200;

const groupOf = {
  slo: (row) => row.slo,
  service: (row) => row.service,
  standing: (row) => row.standing,
};
const keyOf = (group) =>
  groupOf[group] ??
  ((row) => {
    const key = group.slice(6);
    return row.labels?.[key] ?? row.slo_labels?.[key] ?? "";
  });

const pending = (n) => ({ key: `pending ${n}`, className: "pending", isPending: true });

export class Fleet {
  title = "Fleet";
  #closed = new Set();
  #typing = 0;
  #typed = ""; // what stands in the filter; the address follows a moment later, and without blanks at its ends

  constructor(redraw) {
    this.redraw = redraw;
    this.listing = new Listing(() => {
      this.#said();
      redraw();
    });
  }

  route({ params }) {
    this.params = params;
    if ((params.get("q") ?? "") !== this.#typed.trim()) this.#typed = params.get("q") ?? "";
    this.listing.load(this.#question());
  }

  close() {
    this.listing.close();
  }

  #question() {
    const asked = new URLSearchParams();
    for (const key of FILTERS) for (const each of this.params.getAll(key)) if (each) asked.append(key, each);
    return asked;
  }

  live() {
    const asked = this.#question();
    asked.delete("group");
    return asked;
  }

  heard(event, data) {
    this.listing.heard(event, data);
  }

  #saidMatched = null;
  #said() {
    const matched = this.listing.head?.matched;
    if (matched === undefined || matched === this.#saidMatched) return;
    if (this.#saidMatched !== null) announce(`${count(matched)} SLO instances`);
    this.#saidMatched = matched;
  }

  /** Rows with their headings; what is not loaded yet holds its place. */
  #rows() {
    const { rows, head } = this.listing;
    const shown = rows.map((row) => ({ ...row, key: row.id, className: row.standing, trendStep: head.trend_step_s }));
    const group = this.params.get("group");
    if (!group || !head.groups)
      return [...shown, ...Array.from({ length: Math.max(0, head.matched - rows.length) }, (_, n) => pending(n))];
    const loaded = Map.groupBy(shown, keyOf(group));
    return head.groups.flatMap((each) => {
      const members = loaded.get(each.key) ?? [];
      const rest = Array.from({ length: Math.max(0, each.instances - members.length) }, (_, n) =>
        pending(`${each.key} ${n}`),
      );
      return [
        { key: `group ${each.key}`, heading: this.#heading(group, each), group: each.key },
        ...(this.#closed.has(each.key) ? [] : [...members, ...rest]),
      ];
    });
  }

  #heading(group, { key, instances, summary, budget_remaining_ratio }) {
    const isOpen = !this.#closed.has(key);
    const name = group === "standing" ? STANDINGS[key]?.[0] : key || "none";
    return html`<span class="fold" aria-hidden="true">${isOpen ? "▾" : "▸"}</span><strong>${name}</strong>
      <span class="muted"
        >${count(instances)} instance${instances === 1 ? "" : "s"} · worst budget
        ${percent(budget_remaining_ratio, 1)}</span
      >
      ${Object.keys(STANDINGS)
        .filter((each) => summary[each])
        .map(
          (each) => html`<span class="tally ${each}">${icon(each)}${count(summary[each])} ${STANDINGS[each][0]}</span>`,
        )}`;
  }

  #opened({ detail: row }) {
    if (row.isPending) return;
    if (!row.heading) return go(address(row));
    if (!this.#closed.delete(row.group)) this.#closed.add(row.group);
    this.redraw();
  }

  /** Sort by a column; once more turns it, and a third time is as it was. */
  #sorted({ detail: { id } }) {
    const now = this.params.get("sort") ?? "";
    ask({ sort: now === id ? `-${id}` : now === `-${id}` ? "" : id });
  }

  #toggled(standing) {
    const now = new Set((this.params.get("standing") ?? "").split(",").filter(Boolean));
    if (!now.delete(standing)) now.add(standing);
    ask({ standing: [...now].join(",") });
  }

  #filtered(event) {
    this.#typed = event.target.value;
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => ask({ q: this.#typed.trim() }, true), TYPING_MS);
  }

  draw(isOld) {
    const { head, problem, shown } = this.listing;
    return html`<div class="view fills fleet">
      ${this.#top(head)} ${head ? this.#filters(head, isOld) : nothing}
      ${past(shown)}
      ${head && !this.listing.isRefused ? this.#body(head, isOld || Boolean(shown.problem)) : problem ? broken(problem, () => this.listing.retry()) : loading("the fleet")}
    </div>`;
  }

  #top(head) {
    const judged = head?.watermark ? html`judged up to ${time(head.watermark)}` : "nothing has been judged yet";
    return html`<div class="heading">
      <h1>Fleet</h1>
      ${head ? html`<p>${count(head.matched)}${head.matched === head.total ? "" : ` of ${count(head.total)}`} SLO instances · ${judged}</p>` : nothing}
    </div>`;
  }

  #filters(head) {
    const chosen = new Set((this.params.get("standing") ?? "").split(","));
    return html`<div class="controls">
      <label
        >Filter
        <input
          type="search"
          id="filter"
          placeholder="SLO, instance, service, label"
          .value=${this.#typed}
          @input=${(event) => this.#filtered(event)}
        />
      </label>
      <label
        >Group
        <select id="group" @change=${(event) => ask({ group: event.target.value })}>
          ${Object.entries(GROUPS).map(([key, word]) => html`<option value=${key} ?selected=${key === (this.params.get("group") ?? "")}>${word}</option>`)}
        </select>
      </label>
      <div class="chips" role="group" aria-label="Filter by state">
        ${Object.entries(STANDINGS).map(([key, [word, meaning]]) => this.#chip(key, word, meaning, head.summary[key] ?? 0, chosen.has(key)))}
      </div>
      ${["slo", "service", "label"]
        .filter((key) => this.params.get(key))
        .map(
          (key) =>
            html`<button
              @click=${() => ask({ [key]: "" })}
              aria-label=${`Remove filter ${key} ${this.params.get(key)}`}
            >
              ${key}: ${this.params.get(key)} ✕
            </button>`,
        )}
    </div>`;
  }

  #chip(key, word, meaning, number, isChosen) {
    if (!number && !isChosen) return nothing;
    return html`<button
      class="chip ${key}"
      aria-pressed=${isChosen}
      title=${meaning}
      @click=${() => this.#toggled(key)}
    >
      ${icon(key)}<strong>${count(number)}</strong> ${word}
    </button>`;
  }

  #trendTitle({ trend_step_s: step }) {
    const steps = this.listing.rows.find((row) => row.trend)?.trend.length;
    return steps ? `Burn, ${duration(steps * step)}` : "Burn";
  }

  #body(head, isOld) {
    if (!head.total) {
      return empty(
        "No SLO has been judged yet",
        "Write one with “burnline slo new”, put it into the SLO directory, and send events: it appears here within seconds.",
      );
    }
    if (!head.matched)
      return empty(
        "Nothing matches",
        "No SLO instance fits these filters.",
        html`<button @click=${() => go("/")}>Show all</button>`,
      );
    const columns = COLUMNS.map((column) => ({
      ...column,
      title: column.id === "trend" ? this.#trendTitle(head) : column.title,
      cell: (row) => (row.isPending ? html`<span class="blank"></span>` : column.cell(row, isOld)),
    }));
    const data = { columns, rows: this.#rows(), sort: this.params.get("sort") ?? "standing" };
    return html`<burn-grid
        label="SLO instances"
        .data=${data}
        @open=${(event) => this.#opened(event)}
        @sort=${(event) => this.#sorted(event)}
        @need=${() => this.listing.more()}
      ></burn-grid>
      ${sql(head.sql)}`;
  }
}
