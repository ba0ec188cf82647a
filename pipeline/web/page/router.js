// Where we are: the address is all the state that is worth sending to somebody. Views are paths, questions are queries:
//
//   /?q=chat&sort=-burn&group=service       the fleet, filtered, sorted, grouped
//   /slo/chat-ttft?instance=..&from=-24h    one SLO, its instance and time range

const VIEWS = { "": "fleet", slo: "slo", alerts: "alerts", signals: "signals", pipeline: "pipeline" };

export function parse({ pathname, search }) {
  const [, first = "", ...rest] = pathname.split("/");
  return {
    view: VIEWS[first] ?? "fleet",
    subject: decodeURIComponent(rest.join("/")),
    params: new URLSearchParams(search),
  };
}

export const here = () => parse(location);

const asked = (params) =>
  Object.entries(params).filter(([, value]) => value !== undefined && value !== "" && value !== null);

export function link(view, subject = "", params = {}) {
  const path = view === "fleet" ? "/" : `/${view}${subject ? `/${encodeURIComponent(subject)}` : ""}`;
  const query = new URLSearchParams(asked(params));
  return query.size ? `${path}?${query}` : path;
}

/** Go to an address; `replace` for what is typed letter by letter, so that Back does not undo letters. */
export function go(address, replace = false) {
  if (address === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  dispatchEvent(new Event("routechange"));
}

/** Change some of what this view is asked; empty takes it away. */
export function ask(changes, replace = false) {
  const { view, subject, params } = here();
  go(link(view, subject, { ...Object.fromEntries(params), ...changes }), replace);
}

/** Follow our own links without loading the page again; leave those alone that are to open elsewhere. */
function follow(event) {
  const anchor = event.target.closest?.("a[href]");
  if (!anchor || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey)
    return;
  if (anchor.origin !== location.origin || anchor.hash || anchor.pathname.startsWith("/api/") || anchor.target) return;
  event.preventDefault();
  go(anchor.pathname + anchor.search);
}

export function start(changed) {
  addEventListener("popstate", changed);
  addEventListener("routechange", changed);
  addEventListener("click", follow);
}
