// What changes did to an SLO instance: asked for one by one, by who points at a mark or opens it, and kept for a while.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { get } from "../api.js";

const KEPT_MS = 60_000;
const WORDS = { worse: "Worse", better: "Better", no_difference: "Not worse", not_yet: "Undecided" };

export class Verdicts {
  #known = new Map();

  constructor(redraw) {
    this.redraw = redraw;
  }

  /** Ask what a change did, unless it is known or being asked. */
  async #ask(slo, instance, change) {
    const key = JSON.stringify([slo, instance, change]);
    const before = this.#known.get(key);
    if (before && (before.isAsked || performance.now() - before.at < KEPT_MS)) return;
    this.#known.set(key, { ...before, isAsked: true });
    this.redraw();
    let said;
    try {
      const { verdict, reason } = await get(`slos/${encodeURIComponent(slo)}/compared`, { instance, change });
      said = { verdict, reason, at: performance.now() };
    } catch (problem) {
      said = { reason: problem.message, at: problem.status === 404 ? performance.now() : -Infinity };
    }
    this.#known.set(key, said);
    this.redraw();
  }

  /** The verdict on a mark of an SLO instance, or a way to ask for it. */
  of(slo, instance, { change_id: change }) {
    if (!change) return nothing;
    const known = this.#known.get(JSON.stringify([slo, instance, change]));
    const ask = () => this.#ask(slo, instance, change);
    const word = known?.verdict ? WORDS[known.verdict] : known?.isAsked ? "Comparing …" : "Did it make anything worse?";
    return html`<span class="verdict ${known?.verdict ?? ""}"
      ><button class="quiet" @pointerenter=${ask} @focus=${ask} @click=${ask}>${word}</button>
      <span class="muted" role="status">${known?.reason ?? nothing}</span></span
    >`;
  }
}
