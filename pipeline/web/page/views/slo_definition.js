// What an SLO promises and how that changed; what happened to it; traces of requests that failed it.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { burn, count, duration, micros, percent, target } from "../format.js";
import { heads, sql, table, time, value, whole } from "../parts.js";
import { link } from "../router.js";
import { severity } from "../standing.js";

const KINDS = { alert: "A", correction: "C", revision: "R", note: "N", change: "D" };

const section = (title, content) =>
  html`<section class="card">
    <h2>${title}</h2>
    ${content}
  </section>`;

const isWeb = (text) => /^https?:\/\//.test(text ?? "");
const linked = (text) =>
  isWeb(text) ? html`<a href=${text} target="_blank" rel="noopener noreferrer">${text}</a>` : text;

function facts(d) {
  return [
    ["Promise", d.sentence],
    ["Indicator", `${d.metric} ${d.threshold_text ?? ""}`],
    ["Service", d.service],
    ["Where", d.where?.map(({ label, condition }) => `${label}: ${condition}`).join(", ")],
    ["One instance per", d.group_by?.join(", ")],
    ["Measured at", d.vantage],
    ["Target", `${target(d.target)} over ${d.window_text ?? duration(d.window_s)}, ${d.budgeting_method}`],
    [
      "Alerts",
      d.pairs?.map(
        (pair) =>
          html`<div>
            ${severity(pair.severity)} at ${burn(pair.factor)} over ${duration(pair.long_s)} and
            ${duration(pair.short_s)}
          </div>`,
      ),
    ],
    [
      "Only judged with",
      d.guards &&
        `${d.guards.min_events} events, ${d.guards.min_bad} bad, ${percent(d.guards.min_coverage, 0)} coverage`,
    ],
    ["SLA", d.sla && `${target(d.sla.target)}; ${d.sla.consequence ?? ""}`],
    [
      "Members",
      d.members?.length
        ? d.members.map(({ slo, weight }) => html`<div><a href=${link("slo", slo)}>${slo}</a> × ${weight}</div>`)
        : null,
    ],
    ["Owner", d.owner],
    ["Runbook", d.runbook && linked(d.runbook)],
    ["Written in", d.source],
  ].filter(([, shown]) => shown && shown.length !== 0);
}

const revisions = (list) =>
  table(
    "Revisions",
    heads("Revision", "First seen", "Last seen"),
    list.map(
      (each) =>
        html`<tr>
          <th scope="row">
            <code>${each.revision}</code> ${each.is_current ? html`<span class="muted">current</span>` : nothing}
          </th>
          <td>${time(each.first_at)}</td>
          <td>${time(each.last_at)}</td>
        </tr>`,
    ),
    "short",
  );

const corrected = (corrections) =>
  html`<p>
    ${corrections.corrected_minutes} min of the window do not count (${corrections.names.join(", ")}): with that,
    compliance is ${percent(corrections.compliance_ratio, 3)} and ${percent(corrections.budget_remaining_ratio, 1)} of
    the budget is left.
  </p>`;

export function definition({ definition: defined, revisions: list = [], corrections, sql: queries }) {
  const shown = defined
    ? html`<dl class="facts">
        ${facts(defined).map(
          ([name, said]) =>
            html`<dt>${name}</dt>
              <dd>${said}</dd>`,
        )}
      </dl>`
    : html`<p class="muted">
        This server has no SLO file of that name, so it shows what was judged, not what was promised.
      </p>`;
  return html`${section("Definition", shown)}
  ${corrections ? section("Corrections", html`${corrected(corrections)}${sql(queries?.corrections)}`) : nothing}
  ${list.length ? section("Revisions of what is counted", html`${revisions(list)}${sql(queries?.revisions)}`) : nothing}`;
}

const mark = (each, verdict) =>
  html`<li>
    <span class="letter" aria-hidden="true">${KINDS[each.kind] ?? "·"}</span>
    <span
      ><span class="visually-hidden">${each.kind}: </span
      >${each.severity && each.severity !== "NONE" ? severity(each.severity, !each.until) : nothing}
      ${each.dedup_key ? html`<a href=${link("alerts", "", { alert: each.dedup_key, fired_at: each.at })}>${each.title}</a>` : html`<strong>${each.title}</strong>`}
      <span class="muted"
        >${time(each.at)}${each.until ? html` – ${time(each.until)}` : each.kind === "alert" ? " – now" : nothing}</span
      >
      <br /><span class="muted">${each.detail}</span>${verdict(each)}</span
    >
  </li>`;

/** `verdict`: what is known of a change's doing, of a mark. */
export const marksList = (resource, verdict) =>
  section(
    "What happened",
    whole(
      resource,
      "marks",
      ({ items, sql: text }) =>
        html`${
          items.length
            ? html`<ul class="marks">
                ${items.map((each) => mark(each, verdict))}
              </ul>`
            : html`<p class="muted">No alert, correction, revision or note in this time range.</p>`
        }${sql(text)}`,
    ),
  );

const REQUESTS = heads("When", "Trace", ["Took"], "Outcome", "Tenant", "Model", ["Tokens out"]);

const request = (each) =>
  html`<tr>
    <td>${time(each.at)}</td>
    <td><code>${each.trace_id ?? each.request_id}</code></td>
    <td class="number">${value(micros(each.value_us))}</td>
    <td>
      ${each.is_bad ? html`<strong>bad</strong>, ` : nothing}${each.outcome.toLowerCase()}
      ${each.error_type ?? each.http_status ?? ""}
    </td>
    <td>${each.tenant_id}</td>
    <td>${each.request_model}</td>
    <td class="number">${value(count(each.output_tokens))}</td>
  </tr>`;

/** Requests that the archive kept whole: the bad ones, and a sample. */
export const requests = (resource) =>
  section(
    "Slow and bad requests",
    whole(
      resource,
      "requests",
      ({ items, note, sql: text }) =>
        html`${
          items.length
            ? html`${table("Slow and bad requests", REQUESTS, items.map(request), "short")} ${note ? html`<p class="muted">${note}.</p>` : nothing}`
            : html`<p class="muted">${note ?? "None of this time range was kept."}</p>`
        }${sql(text)}`,
    ),
  );

export const exemplars = (resource) =>
  section(
    "Traces of bad requests",
    whole(
      resource,
      "exemplars",
      ({ items, sql: text }) =>
        html`${
          items.length
            ? html`<ul class="traces">
                ${items.map((each) => html`<li><code>${each.trace_id}</code> <span class="muted">${time(each.at)}</span></li>`)}
              </ul>`
            : html`<p class="muted">No alert in this time range carried any.</p>`
        }${sql(text)}`,
    ),
  );
