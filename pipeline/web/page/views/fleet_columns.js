// The columns of the fleet: what each shows of an SLO instance, and how it is sorted. Pure.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { trend } from "../charts/trend.js";
import { burn, duration, percent, target } from "../format.js";
import { value } from "../parts.js";
import { link } from "../router.js";
import { badge } from "../standing.js";

export const address = (row) => link("slo", row.slo, { instance: row.instance });

const labels = (row) => {
  const found = Object.entries(row.labels ?? {});
  return html`<span class=${found.length > 1 ? "several" : ""} title=${row.instance}
    >${found.map(([key, label]) => html`<span class="label"><span class="name muted">${key}=</span>${label}</span> `)}</span
  >`;
};

const bar = (ratio) => {
  if (ratio === null) return html`<span></span>`;
  const width = `width:${Math.min(1, Math.abs(ratio)) * 100}%`;
  return html`<span class="meter ${ratio < 0 ? "over" : ""}" aria-hidden="true"><span .style=${width}></span></span>`;
};

export const COLUMNS = [
  { id: "standing", title: "State", sorts: true, falls: true, cell: (row, old) => badge(row.standing, old) },
  {
    id: "slo",
    title: "SLO",
    sorts: true,
    cell: (row) => html`<a href=${address(row)} tabindex="-1">${row.slo}</a><span class="sub">${labels(row)}</span>`,
  },
  { id: "instance", title: "Instance", wide: "wide", cell: labels },
  {
    id: "compliance",
    title: "Compliance",
    number: true,
    sorts: true,
    hint: "good / eligible over the window",
    cell: (row) => value(percent(row.compliance_ratio, 3)),
  },
  {
    id: "target",
    title: "Target",
    number: true,
    wide: "wide widest",
    cell: (row) => html`<span class="muted">${target(row.target)}</span>`,
  },
  {
    id: "budget",
    title: "Budget left",
    number: true,
    sorts: true,
    hint: "share of the error budget left; negative: overspent",
    cell: (row) =>
      html`<span class="beside"
        >${bar(row.budget_remaining_ratio)}${value(percent(row.budget_remaining_ratio, 1))}</span
      >`,
  },
  {
    id: "burn",
    title: "Burn now",
    number: true,
    sorts: true,
    falls: true,
    hint: "burn rate over the shortest window; 1× spends the budget exactly in the period",
    cell: (row) => html`<span class=${row.burn_rate >= 1 ? "high" : ""}>${value(burn(row.burn_rate))}</span>`,
  },
  { id: "trend", title: "Burn", wide: "wide", cell: (row) => (row.trend ? trend(row.trend, row.trendStep) : nothing) },
  {
    id: "exhaustion",
    title: "Spent in",
    number: true,
    sorts: true,
    wide: "wide",
    hint: "time to an empty budget at the present burn rate",
    cell: (row) =>
      row.time_to_exhaustion_s === null
        ? html`<span class="muted">–</span>`
        : row.time_to_exhaustion_s > 0
          ? duration(row.time_to_exhaustion_s)
          : "spent",
  },
  {
    id: "coverage",
    title: "Coverage",
    number: true,
    sorts: true,
    wide: "wide",
    hint: "share of the window that was measured",
    cell: (row) => value(percent(row.coverage_ratio, 1)),
  },
];
