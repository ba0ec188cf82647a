// Deploy gates, and signals for scalers and routers as they are published: for others to act on; Burnline never does.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { count, duration, instant, NO_DATA } from "../format.js";
import { empty, heads, sql, table, time, value, whole } from "../parts.js";
import { Resource } from "../resource.js";
import { link } from "../router.js";
import { icon } from "../standing.js";

const REFRESH_MS = 5000;
//: verdict of a gate: class and word
const VERDICTS = { open: ["ok", "Open"], caution: ["warning", "Caution"], frozen: ["critical", "Frozen"] };
const GATES = heads("Service", "Gate", "Because");
const SIGNALS = heads("Service", "Model", "Signal", "Scope", "Says", ["Value"], "Because", "Decided", "Holds");

const figure = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const figures = ({ inputs }) =>
  Object.entries(inputs)
    .map(([name, shown]) => `${name.replaceAll("_", " ")} ${figure.format(shown)}`)
    .join(" · ");

/** How long a signal still holds; from its end on it says nothing, whatever it said. */
function holds({ expires_at: end, is_expired: isExpired }) {
  if (isExpired) return html`<span class="unknown">Expired</span>`;
  return duration(Math.max(0, Math.round((instant(end) - Date.now()) / 1000)));
}

const reasonOf = ({ slo, instance, text }) =>
  html`<div>${slo ? html`<a href=${link("slo", slo, { instance })}>${slo}</a>: ` : nothing}${text}</div>`;

export class Signals {
  title = "Signals";
  #refreshedAt = -Infinity;

  constructor(redraw) {
    this.redraw = redraw;
    this.list = new Resource(redraw);
    this.gates = new Resource(redraw);
    this.list.retry = this.gates.retry = () => this.refresh();
  }

  route() {
    this.refresh();
  }

  refresh() {
    this.#refreshedAt = performance.now();
    this.list.load("signals");
    this.gates.load("gates");
  }

  close() {
    this.gates.close();
    this.list.close();
  }

  live() {
    return new URLSearchParams({ limit: 1, sort: "slo" });
  }

  heard() {
    if (performance.now() - this.#refreshedAt > REFRESH_MS) this.refresh();
  }

  draw(isOld) {
    return html`<div class="view signals">
      <div class="heading">
        <div>
          <h1>Signals</h1>
          <p>What deploys, scalers and routers read. Burnline publishes them and acts on none.</p>
        </div>
      </div>
      <h2>Deploy gates</h2>
      ${whole(this.gates, "gates", (data, isPast) => this.#gated(data, isPast), isOld)}
      <h2>Published signals</h2>
      ${whole(this.list, "signals", ({ items, note, sql: text }) => html`${this.#listed(items, note)}${sql(text)}`)}
    </div>`;
  }

  #gated({ items, sql: text }, isOld) {
    if (!items.length) return empty("No gates", "No SLO has been judged yet, so there is nothing to decide on.");
    const rows = items.map((gate) => this.#gate(gate, isOld));
    return html`${table("Deploy gates", GATES, rows)}${sql(text)}`;
  }

  #gate({ service, verdict, reasons, deciding }, isOld) {
    const isKnown = verdict in VERDICTS && !(isOld && verdict === "open");
    const [name, word] = isKnown ? VERDICTS[verdict] : ["no_data", "Not known"];
    const rest = deciding - reasons.length;
    return html`<tr>
      <th scope="row"><a href=${link("fleet", "", { service })}>${service}</a></th>
      <td><span class="badge ${name}">${icon(name)}${word}</span></td>
      <td class="reason">
        ${reasons.length ? reasons.map(reasonOf) : isKnown ? "nothing is against it" : "nothing was against it"}
        ${rest > 0 ? html`<div class="muted">and ${count(rest)} more</div>` : nothing}
      </td>
    </tr>`;
  }

  #listed(items, note) {
    if (!items.length) return empty("No signals", note ?? "None has been published.");
    const listed = table("Signals", SIGNALS, items.map((item) => this.#signal(item)));
    return note ? html`<p class="muted">${note}</p>${listed}` : listed;
  }

  #signal(item) {
    const { service, model, name, scope, state, value: number, unit, reason, is_expired: isExpired } = item;
    const isKnown = number !== null && !isExpired;
    const said = state.replaceAll("_", " ");
    return html`<tr class=${isExpired ? "muted" : ""}>
      <th scope="row"><a href=${link("fleet", "", { service })}>${service}</a></th>
      <td>${model || html`<span class="muted">all</span>`}</td>
      <td>${name}</td>
      <td>${scope}</td>
      <td>${isExpired ? html`<s>${said}</s>` : said}</td>
      <td class="number">
        ${isKnown ? html`${figure.format(number)} <span class="unit muted">${/^\d/.test(unit) ? `(${unit})` : unit}</span>` : value(NO_DATA)}
      </td>
      <td class="reason" title=${figures(item)}>${reason}</td>
      <td>${time(item.evaluated_at, { relative: true })}</td>
      <td>${holds(item)}</td>
    </tr>`;
  }
}
