// Keys for those who keep their hands on the keyboard; none fires while somebody types.

import { go } from "./router.js";

const TARGETS = { f: "/", a: "/alerts", s: "/signals", p: "/pipeline" };
let isGoing = false;

const isTyping = ({ target }) => target.closest?.("input, select, textarea, dialog");
const isDone = ({ key, target }) => key === "Escape" && target.id === "filter" && !target.value;

/** To the row of the fleet where the keyboard was last; where there is none, to the view. */
const reach = () => (document.querySelector("burn-grid tr[tabindex='0']") ?? document.getElementById("main")).focus();

function pressed(event, actions) {
  if (event.defaultPrevented) return;
  if (isDone(event)) return reach();
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
  const wasGoing = isGoing;
  isGoing = false;
  if (wasGoing && event.key in TARGETS) go(TARGETS[event.key]);
  else if (event.key === "g") isGoing = true;
  else if (event.key === "/") document.getElementById("filter")?.focus();
  else if (event.key === "j" || event.key === "k") reach();
  else if (event.key === "?") document.getElementById("help").showModal();
  else if (event.key === "t") actions.theme();
  else return;
  event.preventDefault();
}

export function listen(actions) {
  addEventListener("keydown", (event) => pressed(event, actions));
}
