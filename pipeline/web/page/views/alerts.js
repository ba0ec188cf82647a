// Every alert from fired to resolved, on one time line; and one of them, event by event.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { burn, count, duration, labelled, percent } from "../format.js";
import { empty, heads, sql, table, time, value, whole } from "../parts.js";
import { Resource } from "../resource.js";
import { ask, link } from "../router.js";
import { severity } from "../standing.js";
import { timeline } from "../charts/timeline.js";

const STATES = { "": "All", open: "Open", resolved: "Resolved" };
const FROM = { "-24h": "24 h", "-7d": "7 d", "-30d": "30 d", "-90d": "90 d" };
const KINDS = {
  "": "all kinds",
  BURN_RATE: "burn rate",
  NO_DATA: "no data",
  BUDGET: "budget",
  SLA: "SLA",
  QUOTA: "quota",
  LAGGING: "Burnline lags",
  STALE_SOURCE: "silent source",
  RECEIVER_DOWN: "receiver down",
};
const OWN = ["LAGGING", "STALE_SOURCE", "RECEIVER_DOWN"]; // about Burnline itself, and no SLO
const REFRESH_MS = 5000;
const HEADS = heads(
  "Severity",
  "SLO",
  "Kind",
  "Fired",
  "Resolved",
  ["Lasted"],
  ["Peak burn"],
  ["Detected after"],
  "Reason",
);
const EVENT_HEADS = heads(
  "At",
  "Event",
  "Severity",
  ["Long burn"],
  ["Short burn"],
  ["Bad of eligible"],
  ["Budget left"],
  "Reason",
);

const address = (alert) => link("alerts", "", { alert: alert.dedup_key, fired_at: alert.fired_at });
const about = ({ slo, instance, kind }) =>
  OWN.includes(kind)
    ? html`<a class="button" href="/pipeline">Look at the pipeline</a>`
    : html`<a class="button" href=${link("slo", slo, { instance })}>Look at the SLO</a>`;
const kind = (alert) => KINDS[alert.kind] ?? alert.kind.toLowerCase();

export class Alerts {
  title = "Alerts";
  #refreshedAt = 0;
  #asked = null;

  constructor(redraw) {
    this.redraw = redraw;
    this.list = new Resource(redraw);
    this.detail = new Resource(redraw);
    this.list.retry = this.detail.retry = () => this.refresh();
  }

  route({ params }) {
    this.key = params.get("alert");
    this.params = params;
    const asked = String(params);
    if (asked !== this.#asked) this.refresh();
    this.#asked = asked;
  }

  refresh() {
    this.#refreshedAt = performance.now();
    if (this.key) {
      const asked = this.params.get("fired_at") ? { fired_at: this.params.get("fired_at") } : {};
      return this.detail.load(`alerts/${encodeURIComponent(this.key)}`, asked);
    }
    const asked = { from: this.params.get("from") || "-7d", limit: 500 };
    for (const name of ["state", "slo", "service", "kind", "severity", "to"])
      if (this.params.get(name)) asked[name] = this.params.get(name);
    return this.list.load("alerts", asked);
  }

  close() {
    this.list.close();
    this.detail.close();
  }

  live() {
    return new URLSearchParams({ limit: 1, sort: "slo" });
  }

  heard() {
    if (performance.now() - this.#refreshedAt > REFRESH_MS) this.refresh();
  }

  draw(isOld) {
    return html`<div class="view alerts">${this.key ? this.#one() : this.#all(isOld)}</div>`;
  }

  #all(isOld) {
    return html`<div class="heading"><h1>Alerts</h1></div>
      ${this.#filters()} ${whole(this.list, "alerts", (data, isPast) => this.#listed(data, isPast), isOld)}`;
  }

  #filters() {
    const [state, from] = [this.params.get("state") ?? "", this.params.get("from") || "-7d"];
    return html`<div class="controls">
      <div class="group" role="group" aria-label="State">
        ${Object.entries(STATES).map(([key, word]) => html`<button aria-pressed=${key === state} @click=${() => ask({ state: key })}>${word}</button>`)}
      </div>
      <div class="group" role="group" aria-label="Time range">
        ${Object.entries(FROM).map(([key, word]) => html`<button aria-pressed=${key === from} @click=${() => ask({ from: key === "-7d" ? "" : key })}>${word}</button>`)}
      </div>
      <label
        >Kind
        <select id="kind" @change=${(event) => ask({ kind: event.target.value })}>
          ${Object.entries(KINDS).map(([key, word]) => html`<option value=${key} ?selected=${key === (this.params.get("kind") ?? "")}>${word}</option>`)}
        </select>
      </label>
    </div>`;
  }

  #listed({ items, open, next_cursor: more, as_of, sql: text }, isOld) {
    if (!items.length) return html`${empty("No alerts", "None was open or fired in this time range.")}${sql(text)}`;
    const now = Object.entries(open ?? {})
      .filter(([, number]) => number)
      .map(([name, number]) => `${count(number)} ${name}`)
      .join(", ");
    return html`<p class="lead">
        ${now ? `Open ${isOld ? "then" : "now"}: ${now}.` : open === null ? "How many are open is not known." : isOld ? "None was open then." : "None is open now."} ${more ? `The newest ${items.length} are shown.` : nothing}
      </p>
      ${timeline(items, as_of)}
      ${table(
        "Alerts",
        HEADS,
        items.map((alert) => this.#row(alert)),
      )}
      ${sql(text)}`;
  }

  #row(alert) {
    return html`<tr class=${alert.is_open ? "open" : ""}>
      <td>${severity(alert.severity, alert.is_open)}</td>
      <th scope="row"><a href=${address(alert)}>${alert.slo}</a><br /><span class="muted">${labelled(alert.instance)}</span></th>
      <td class="kind">${kind(alert)}</td>
      <td>${time(alert.fired_at)}</td>
      <td>${alert.is_open ? html`<strong>open</strong>` : time(alert.resolved_at)}</td>
      <td class="number">${duration(alert.duration_s)}</td>
      <td class="number">${value(burn(alert.peak_burn_rate))}</td>
      <td class="number">
        ${value(duration(alert.detection_delay_ms === null ? null : alert.detection_delay_ms / 1000))}
      </td>
      <td class="reason">
        ${alert.reason}${alert.acknowledged_by ? html`<br /><span class="muted">acknowledged by ${alert.acknowledged_by}</span>` : nothing}
      </td>
    </tr>`;
  }

  #one() {
    return html`<nav aria-label="Breadcrumb"><a href="/alerts">All alerts</a></nav>
      ${whole(this.detail, "the alert", ({ alert, events, sql: text }) => html`${this.#story(alert)} ${this.#events(events)} ${sql(text.alert, "SQL of the alert")} ${sql(text.events, "SQL of its events")}`)}`;
  }

  #story(alert) {
    return html`<div class="heading">
        <div>
          <h1>${alert.slo} ${severity(alert.severity, alert.is_open)}</h1>
          <p>${labelled(alert.instance) || "one instance"} · ${kind(alert)}</p>
        </div>
        ${about(alert)}
      </div>
      <dl class="facts">
        <dt>Fired</dt>
        <dd>${time(alert.fired_at)}</dd>
        <dt>Resolved</dt>
        <dd>${alert.is_open ? "still open" : time(alert.resolved_at)}</dd>
        <dt>Lasted</dt>
        <dd>${duration(alert.duration_s)}</dd>
        <dt>Reason</dt>
        <dd>${alert.reason}</dd>
        ${
          alert.runbook
            ? html`<dt>Runbook</dt>
                <dd>
                  ${/^https?:/.test(alert.runbook) ? html`<a href=${alert.runbook} target="_blank" rel="noopener noreferrer">${alert.runbook}</a>` : alert.runbook}
                </dd>`
            : nothing
        }
        ${
          alert.notes?.length
            ? html`<dt>Notes</dt>
                <dd>${alert.notes.map((note) => html`<div>${note}</div>`)}</dd>`
            : nothing
        }
        ${
          alert.exemplar_trace_ids?.length
            ? html`<dt>Traces</dt>
                <dd>${alert.exemplar_trace_ids.map((id) => html`<div><code>${id}</code></div>`)}</dd>`
            : nothing
        }
      </dl>`;
  }

  #events(events) {
    return html`<h2>Events</h2>
      ${table(
        "Events of the alert",
        EVENT_HEADS,
        events.map(
          (each) =>
            html`<tr>
              <td>${time(each.at)}</td>
              <th scope="row">${each.event.toLowerCase()}</th>
              <td>${each.severity.toLowerCase()}</td>
              <td class="number">${value(burn(each.long_burn_rate))}</td>
              <td class="number">${value(burn(each.short_burn_rate))}</td>
              <td class="number">${count(each.long_bad)} of ${count(each.long_good + each.long_bad)}</td>
              <td class="number">${value(percent(each.budget_remaining_ratio, 1))}</td>
              <td class="reason">${each.reason}</td>
            </tr>`,
        ),
      )}`;
  }
}
