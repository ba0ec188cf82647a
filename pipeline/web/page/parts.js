// Small pieces that every view shows: times, and the states in which there is nothing to show yet, or nothing new.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { ago, instant, local, NO_DATA, utc } from "./format.js";
import { icon } from "./standing.js";

/** A time in the viewer's zone; UTC on hover and for machines. */
export function time(text, { relative = false } = {}) {
  const date = instant(text);
  if (!date) return html`<span class="unknown">${NO_DATA}</span>`;
  return html`<time datetime=${date.toISOString()} title=${`${utc(date)} · ${ago(date)}`}
    >${relative ? ago(date) : local(date)}</time
  >`;
}

/** A value, or that it is not known; `text` is already formatted. */
export const value = (text) => (text === NO_DATA ? html`<span class="unknown">${NO_DATA}</span>` : text);

/** A number with its name, and what it means below it. */
export const stat = (name, shown, below) =>
  html`<div class="stat">
    <dt>${name}</dt>
    <dd>${value(shown)}</dd>
    <dd class="muted">${below}</dd>
  </div>`;

const box = (kind, title, text, more = nothing) =>
  html`<div class="box ${kind}">
    ${icon(kind)}
    <div>
      <p class="box-title">${title}</p>
      <p>${text}</p>
      ${more}
    </div>
  </div>`;

export const empty = (title, text, more) => box("empty", title, text, more);

export const loading = (what) =>
  html`<div class="box loading" role="status">
    ${icon("loading")}
    <p>Loading ${what} …</p>
  </div>`;

export function broken(problem, retry) {
  const title = problem.status === 404 ? "Not found" : problem.status === 0 ? "No answer" : "Something is wrong";
  return html`<div role="alert">
    ${box("error", title, problem.detail, html`<button @click=${retry}>Try again</button>`)}
  </div>`;
}

/** That what stands here is of before, and why; nothing where the last answer was good. */
export const past = ({ data, problem, goodAt }) =>
  data && problem
    ? html`<p class="notice past" role="status">
        ${icon("stale")} <span>What is shown was so ${ago(goodAt)}. ${problem.detail}</span>
      </p>`
    : nothing;

/** What a resource shows: its data, or why there is none. `draw(data, isOld)` draws it, as of before where it is that. */
export function whole(resource, what, draw, isOld = false) {
  if (resource.data) return html`${past(resource)} ${draw(resource.data, isOld || Boolean(resource.problem))}`;
  if (resource.problem) return broken(resource.problem, () => resource.retry?.());
  return loading(what);
}

/** A plain table, in a box of its own that a keyboard can scroll when it is wider or longer than there is room for. */
export const table = (label, head, body, size = "") =>
  html`<div class="scroll ${size}" tabindex="0" role="region" aria-label=${label}>
    <table class="plain" aria-label=${label}>
      <thead>
        <tr>
          ${head}
        </tr>
      </thead>
      <tbody>
        ${body}
      </tbody>
    </table>
  </div>`;

/** Headings of its columns; those of numbers stand over them. */
export const heads = (...titles) =>
  titles.map((title) =>
    Array.isArray(title) ? html`<th scope="col" class="number">${title[0]}</th>` : html`<th scope="col">${title}</th>`,
  );

/** The SQL behind what is shown, to copy and go on with. */
export function sql(text, title = "SQL") {
  if (!text) return nothing;
  return html`<details class="sql">
    <summary>${title}</summary>
    <button class="quiet copy" @click=${(event) => copy(event.target, text)}>Copy</button>
    <pre tabindex="0" role="region" aria-label="SQL"><code>${text}</code></pre>
  </details>`;
}

async function copy(button, text) {
  await navigator.clipboard.writeText(text).catch(() => {});
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

/** Say something to a screen reader, once. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}
