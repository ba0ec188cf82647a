// How an SLO instance stands, in one word and one shape. What is not known for certain is never "OK".

import { html } from "./vendor/lit-html/lit-html.js";

//: word and what it means, in the order in which somebody should look
export const STANDINGS = {
  critical: ["Critical", "a critical alert is firing"],
  warning: ["Warning", "a warning is firing"],
  info: ["Notice", "an alert of the lowest severity is firing"],
  spent: ["Spent", "the error budget is spent, and nothing fires now"],
  recovering: ["Recovering", "below the threshold, not yet for long enough"],
  pending: ["Pending", "burning, not yet for long enough"],
  stale: ["Stale", "not judged lately"],
  frozen: ["Frozen", "too little data to judge: alerts neither fire nor clear"],
  no_data: ["No data", "nothing was eligible in the window"],
  ok: ["OK", "in budget, nothing fires"],
};

export const icon = (name) => html`<svg class="icon" aria-hidden="true"><use href="#icon-${name}"></use></svg>`;

const shown = (name, word, title) => html`<span class="badge ${name}" title=${title}>${icon(name)}${word}</span>`;

/** A standing; `isOld`: what was OK when it was last heard of is not known to be so now. */
export function badge(standing, isOld = false) {
  const [word, meaning] = STANDINGS[standing] ?? STANDINGS.no_data;
  if (isOld && standing === "ok") return shown("stale", "Was OK", "in budget when it was last judged");
  return shown(standing in STANDINGS ? standing : "no_data", word, meaning);
}

/** The severity of an alert; `isOpen` false: it is over. */
export function severity(name, isOpen = true) {
  const word = name[0] + name.slice(1).toLowerCase();
  if (!isOpen) return shown("over", word, `${name}, resolved`);
  return shown(name === "CRITICAL" ? "critical" : "warning", word, name);
}
