// How Burnline itself is: does it keep up, what could it not use, what came late.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { compact, count, duration, labelled } from "../format.js";
import { heads, sql, stat, table, time, value, whole } from "../parts.js";
import { Resource } from "../resource.js";
import { link } from "../router.js";
import { icon } from "../standing.js";

const REFRESH_MS = 5000;
const NAMES = { "-1": "all" };
const STAGES = heads(
  "Stage",
  "Topic",
  ["Partition"],
  ["Behind"],
  ["Backlog"],
  ["Records"],
  ["Events"],
  ["Dead"],
  ["Late"],
  ["Other series"],
  "Stored",
  "State",
);
const LETTERS = heads("Reason", ["Records"], ["Read again"], "First", "Last", "For example");

const number = (shown) => html`<td class="number">${value(shown)}</td>`;
const dash = (text, isKnown) => (isKnown ? value(text) : html`<span class="muted">–</span>`);

export class Pipeline {
  title = "Pipeline";
  #refreshedAt = -Infinity;

  constructor(redraw) {
    this.redraw = redraw;
    this.health = new Resource(redraw);
    this.health.retry = () => this.refresh();
  }

  route() {
    this.refresh();
  }

  refresh() {
    this.#refreshedAt = performance.now();
    return this.health.load("pipeline");
  }

  close() {
    this.health.close();
  }

  live() {
    return new URLSearchParams({ limit: 1, sort: "slo" });
  }

  heard() {
    if (performance.now() - this.#refreshedAt > REFRESH_MS) this.refresh();
  }

  draw(isOld) {
    return html`<div class="view pipeline">
      <div class="heading">
        <h1>Pipeline</h1>
        <p>Does Burnline keep up, and what could it not use?</p>
      </div>
      ${whole(this.health, "the pipeline", (data, isPast) => html`${this.#verdict(data, isPast)} ${this.#stats(data.summary)} ${this.#stages(data, isPast)} ${this.#letters(data)} ${this.#late(data)}`, isOld)}
    </div>`;
  }

  #verdict({ summary, stale, stale_reason, watermark }, isOld) {
    if (!watermark) return html`<p class="verdict no_data">${icon("no_data")} Nothing has been judged yet.</p>`;
    if (summary.is_lagging)
      return html`<div class="verdict warning" role="status">
        ${icon("warning")}
        <div>Burnline is behind.${summary.reasons.map((reason) => html`<div>${reason}</div>`)}</div>
      </div>`;
    if (stale)
      return html`<p class="verdict stale" role="status">
        ${icon("stale")} Nothing here is of now: ${stale_reason}.
      </p>`;
    if (isOld || summary.is_lagging === null)
      return html`<p class="verdict no_data">${icon("no_data")} Not known: no worker says how far behind it is.</p>`;
    return html`<p class="verdict ok">${icon("ok")} Burnline keeps up.</p>`;
  }

  #stats(s) {
    return html`<dl class="stats" aria-label="Now">
      ${stat("Watermark behind now", duration(s.watermark_lag_s), "judged up to there")}
      ${stat("Stored behind now", duration(s.stored_lag_s), "in ClickHouse up to there")}
      ${stat("Backlog", count(s.backlog_records), "records not read yet")}
      ${stat("Events", compact(s.events), `${count(s.late)} late`)}
      ${stat("Dead letters", count(s.dead_letters), "records nobody could use")}
      ${stat("Workers", count(s.workers), "that report")}
    </dl>`;
  }

  #stages({ stages, sql: queries }, isOld) {
    return html`<h2>Stages</h2>
      ${table(
        "Stages",
        STAGES,
        stages.map(
          (stage) =>
            html`<tr>
              <th scope="row">
                ${stage.stage}${stage.worker ? html` <span class="muted">${stage.worker}</span>` : nothing}
              </th>
              <td>${stage.topic || html`<span class="muted">–</span>`}</td>
              <td class="number">${NAMES[stage.partition] ?? stage.partition}</td>
              <td class="number">
                ${dash(duration(stage.watermark_lag_s ?? stage.stored_lag_s), (stage.watermark_lag_s ?? stage.stored_lag_s) !== null)}
              </td>
              <td class="number">${dash(count(stage.backlog_records), stage.backlog_records !== null)}</td>
              ${number(count(stage.records))}${number(count(stage.events))}${number(count(stage.dead_letters))}${number(count(stage.late))}${number(count(stage.series_overflow))}
              <td>${stage.stored_at ? time(stage.stored_at) : html`<span class="muted">–</span>`}</td>
              <td>
                ${stage.is_lagging === null || (isOld && !stage.is_lagging) ? html`<span class="muted">–</span>` : stage.is_lagging ? html`<span class="badge warning">${icon("warning")}${stage.reason || "behind"}</span>` : html`<span class="badge ok">${icon("ok")}keeps up</span>`}
              </td>
            </tr>`,
        ),
      )}${sql(queries.stages)}`;
  }

  #letters({ dead_letters: letters, sql: queries }) {
    return html`<h2>Dead letters</h2>
      ${
        letters.length
          ? table(
              "Dead letters",
              LETTERS,
              letters.map(
                (each) =>
                  html`<tr>
                    <th scope="row">${each.reason.toLowerCase().replaceAll("_", " ")}</th>
                    ${number(count(each.records))}${number(count(each.redriven))}
                    <td>${time(each.first_at)}</td>
                    <td>${time(each.last_at)}</td>
                    <td class="reason">${each.example}</td>
                  </tr>`,
              ),
            )
          : html`<p class="muted">None: every record could be used.</p>`
      }${sql(queries.dead_letters)}`;
  }

  #late({ late_events: late, sql: queries }) {
    return html`<h2>Late events</h2>
      ${
        late.length
          ? table(
              "Late events",
              heads("SLO", "Instance", ["Late"]),
              late.map(
                (each) =>
                  html`<tr>
                    <th scope="row"><a href=${link("slo", each.slo, { instance: each.instance })}>${each.slo}</a></th>
                    <td>${labelled(each.instance) || "–"}</td>
                    ${number(count(each.late))}
                  </tr>`,
              ),
            )
          : html`<p class="muted">None came behind the watermark.</p>`
      }${sql(queries.late_events)}`;
  }
}
