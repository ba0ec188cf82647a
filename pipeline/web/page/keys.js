// Keys for those who keep their hands on the keyboard; none fires while somebody types.

import { go } from "./router.js";

const TARGETS = { f: "/", a: "/alerts", s: "/signals", p: "/pipeline" };
let isGoing = false;

const isTyping = ({ target }) => target.closest?.("input, select, textarea, dialog");

function pressed(event, actions) {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
  const wasGoing = isGoing;
  isGoing = false;
  if (wasGoing && event.key in TARGETS) go(TARGETS[event.key]);
  else if (event.key === "g") isGoing = true;
  else if (event.key === "/") document.getElementById("filter")?.focus();
  else if (event.key === "?") document.getElementById("help").showModal();
  else if (event.key === "t") actions.theme();
  else return;
  event.preventDefault();
}

export function listen(actions) {
  addEventListener("keydown", (event) => pressed(event, actions));
}
