// The page: one view at a time, one live connection, and the bar that says how fresh all of it is.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { keepToken } from "./api.js";
import { instant, ago, count } from "./format.js";
import { listen } from "./keys.js";
import { Live } from "./live.js";
import { announce } from "./parts.js";
import { here, link, start } from "./router.js";
import { icon } from "./standing.js";
import { nextTheme, theme } from "./theme.js";
import { Fleet } from "./views/fleet.js";

const LINKS = { fleet: "Fleet", alerts: "Alerts", signals: "Signals", pipeline: "Pipeline" };

// Charts come when they are needed: the fleet is on the screen before.
const VIEWS = {
  fleet: async () => Fleet,
  slo: async () => (await import("./views/slo.js")).Slo,
  alerts: async () => (await import("./views/alerts.js")).Alerts,
  signals: async () => (await import("./views/signals.js")).Signals,
  pipeline: async () => (await import("./views/pipeline.js")).Pipeline,
};

const main = document.getElementById("main");
let [view, name, connection, isDrawn] = [null, "", { state: "connecting" }, true];
let openAlerts; // null: nobody knows how many
let fresh = { stale: false, watermark: null, stale_reason: "" };

const live = new Live(
  (next) => {
    if (next.state !== connection.state && (next.state === "away" || connection.state === "away"))
      announce(next.state === "live" ? "Connected again." : `Connection lost. ${next.detail ?? ""}`);
    const since = next.state === connection.state ? connection.since : new Date();
    connection = { ...next, since };
    redraw();
  },
  (event, data) => {
    if ("stale" in data) fresh = data;
    if ("open_alerts" in data) openAlerts = data.open_alerts;
    view?.heard(event, data);
    redraw();
  },
);

/** Draw once, before the next frame, however many things changed. */
function redraw() {
  if (!isDrawn) return;
  isDrawn = false;
  requestAnimationFrame(() => {
    isDrawn = true;
    draw();
  });
}

const isOld = () => connection.state === "away" || fresh.stale;

function draw() {
  render(bar(), document.getElementById("bar"));
  render(notice(), document.getElementById("notice"));
  if (view) {
    render(view.draw(isOld()), main);
    document.title = `${view.title} · Burnline`;
  }
  document.documentElement.classList.toggle("is-old", isOld());
}

function bar() {
  const open = openAlerts ? Object.values(openAlerts).reduce((sum, each) => sum + each, 0) : 0;
  return html`<a class="brand" href="/">Burnline</a>
    <nav aria-label="Views">
      ${Object.entries(LINKS).map(
        ([key, word]) =>
          html`<a
            href=${link(key)}
            aria-current=${key === name || (key === "fleet" && name === "slo") ? "page" : nothing}
          >
            ${word}${key === "alerts" && open ? html` <span class="pill" aria-label=${`${open} open`}>${count(open)}</span>` : key === "alerts" && openAlerts === null ? html` <span class="pill" aria-label="how many are open is not known" title="How many are open is not known">?</span>` : nothing}</a
          >`,
      )}
    </nav>
    <div class="tools">
      <span class="live" data-state=${connection.state} role="status"
        >${icon(connection.state)}${connectionText()}</span
      >
      <button class="quiet" @click=${changeTheme} title="Light, dark, or as the system has it (t)">
        ${icon("theme")}<span>${theme()}</span>
      </button>
      <button class="quiet" @click=${() => document.getElementById("help").showModal()} aria-label="Keyboard shortcuts">
        ?
      </button>
    </div>`;
}

const WORDS = { connecting: "Connecting …", live: "Live", polling: "Each 5 s" };
const connectionText = () => WORDS[connection.state] ?? "Reconnecting …";

const sentence = (words) => words[0].toUpperCase() + words.slice(1);

/** Why what is shown may not be so any more, over everything. */
function notice() {
  if (connection.state === "away") {
    const good = instant(connection.lastGoodAt) ?? connection.since;
    return html`<div class="notice" role="alert">
      ${icon("away")} <span>${connection.detail} What is shown was so ${ago(good)}; trying again.</span>
    </div>`;
  }
  if (fresh.stale && fresh.watermark)
    return html`<div class="notice" role="status">
      ${icon("stale")}
      <span>${sentence(fresh.stale_reason)}: what is shown is how it was then. <a href="/pipeline">Look at the pipeline</a></span>
    </div>`;
  return nothing;
}

function changeTheme() {
  announce(`Theme: ${nextTheme()}`);
  redraw();
}

/** Show what the address says. */
async function show() {
  const [route, before] = [here(), name];
  if (route.view !== name) {
    view?.close();
    [view, name] = [null, route.view];
    redraw();
    const View = await VIEWS[route.view]();
    if (here().view !== route.view) return;
    view = new View(redraw);
    main.scrollTop = 0;
  }
  if (!view) return;
  view.route(here());
  live.open(view.live());
  redraw();
  if (before && before !== name) requestAnimationFrame(arrive);
}

/** Say which view this is now; whoever came from what is gone goes on at its beginning. */
function arrive() {
  announce(view?.title ?? "");
  if (document.activeElement === document.body) main.focus({ preventScroll: true });
}

function token(event) {
  event.preventDefault();
  keepToken(new FormData(event.target).get("token").trim());
  event.target.closest("dialog").close();
  live.retry();
  view?.refresh?.();
  view?.listing?.retry();
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
document.getElementById("token-form").addEventListener("submit", token);
addEventListener(
  "tokenneeded",
  () => document.getElementById("token").open || document.getElementById("token").showModal(),
);
addEventListener("online", () => live.retry());
addEventListener("redraw", redraw);
addEventListener("refresh", () => view?.refresh());
start(show);
listen({ theme: changeTheme });
show();
