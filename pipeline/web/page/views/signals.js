// Deploy gates, and signals for scalers and routers as they are published: for others to act on; Burnline never does.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { count, instant } from "../format.js";
import { empty, heads, sql, table, time, value, whole } from "../parts.js";
import { Resource } from "../resource.js";
import { link } from "../router.js";
import { icon } from "../standing.js";

const REFRESH_MS = 5000;
const FIRST = ["service", "model", "signal"];
//: verdict of a gate: class and word
const VERDICTS = { open: ["ok", "Open"], caution: ["warning", "Caution"], frozen: ["critical", "Frozen"] };
const GATES = heads("Service", "Gate", "Because");

const isNumber = (shown) => typeof shown === "number";
const words = (name) => name.replaceAll("_", " ");

const cell = (name, shown) => {
  if (shown === null || shown === undefined) return value("no data");
  if (/_at$|^ts$|watermark/.test(name) && instant(shown)) return time(shown);
  return typeof shown === "object" ? html`<code>${JSON.stringify(shown)}</code>` : String(shown);
};

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
    const names = [...FIRST, ...Object.keys(items[0]).filter((name) => !FIRST.includes(name))];
    const titles = names.map((name) => (isNumber(items[0][name]) ? [words(name)] : words(name)));
    const row = (item) =>
      html`<tr>${names.map((name) => html`<td class=${isNumber(item[name]) ? "number" : ""}>${cell(name, item[name])}</td>`)}</tr>`;
    return table("Signals", heads(...titles), items.map(row));
  }
}
