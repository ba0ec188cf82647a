// The fleet, as far as it is loaded: pages in order, the first of them kept up by the live stream. Draws nothing.

import { get } from "./api.js";

const [FIRST, PAGE] = [200, 1000];
const WALK_MS = 30_000; // rows beyond the live ones, and trends, are asked for again this often
const TRENDS_MS = 3000; // the first time they may not be known yet
const GROUPED_MS = 5000; // the stream knows no groups: they are asked for again

export class Listing {
  rows = [];
  head = null; // the last answer without its rows: counts, times, groups
  problem = null;
  goodAt = null; // when what is shown was asked for
  isLoading = false;
  #params = null;
  #cursor = null;
  #stop = new AbortController();
  #walkedAt = 0;
  #isBehind = false; // something has changed since

  constructor(changed) {
    this.changed = changed;
  }

  close() {
    this.#stop.abort();
  }

  /** Whether the question itself was wrong, so that what is shown answers another. */
  get isRefused() {
    return this.problem?.status >= 400 && this.problem.status < 500;
  }

  /** Begin anew with another question; what was shown stays until the answer comes. */
  load(params) {
    if (String(params) === String(this.#params)) return;
    this.#params = params;
    this.walk(FIRST);
  }

  retry() {
    this.walk(Math.max(FIRST, this.rows.length));
  }

  /** Ask again for all pages up to `count` rows, then show them at once. Trends do not hold up the very first rows. */
  async walk(count = this.rows.length) {
    const isBare = this.head === null;
    this.#stop.abort();
    const stop = (this.#stop = new AbortController());
    this.#walkedAt = performance.now();
    this.#isBehind = false;
    const rows = [];
    let page = null;
    await this.#asking(stop, async () => {
      do {
        page = await this.#page(page?.next_cursor ?? null, rows.length ? PAGE : FIRST, stop, isBare);
        rows.push(...page.items);
      } while (page.next_cursor && rows.length < count);
      this.#taken(page, rows);
    });
    if (isBare && stop === this.#stop && !this.problem) await this.walk(count);
  }

  /** Load the next page, if there is one and none is on its way. */
  async more() {
    if (this.isLoading || !this.#cursor || this.problem) return;
    await this.#asking(this.#stop, async () => {
      const page = await this.#page(this.#cursor, PAGE, this.#stop);
      const known = new Set(this.rows.map(({ id }) => id));
      this.#taken(page, [...this.rows, ...page.items.filter(({ id }) => !known.has(id))]);
    });
  }

  async #asking(stop, work) {
    this.isLoading = true;
    try {
      await work();
      this.problem = null;
    } catch (error) {
      if (error.name === "AbortError") return;
      this.problem = error;
    }
    if (stop !== this.#stop) return;
    this.isLoading = false;
    this.changed();
  }

  #page(cursor, limit, stop, isBare = false) {
    const params = new URLSearchParams(this.#params);
    params.set("limit", limit);
    if (cursor) params.set("cursor", cursor);
    if (isBare) params.set("trend", 0);
    return get("slos", params, stop.signal);
  }

  #taken(page, rows) {
    const { items, next_cursor, ...head } = page;
    this.#cursor = next_cursor;
    this.head = head;
    this.rows = rows;
    this.goodAt = new Date();
  }

  get #isGrouped() {
    return this.#params?.has("group");
  }

  /** Whether the stream keeps up all that is shown: it knows no groups, and the first rows alone. */
  get #isLive() {
    return !this.#isGrouped && this.rows.length <= FIRST;
  }

  /** What is shown, where it could not be asked again. */
  get shown() {
    return { data: this.head, problem: this.isRefused ? null : this.problem, goodAt: this.goodAt };
  }

  /** What the stream said; `poll`: it is full, and we ask instead. */
  heard(event, data) {
    if (event === "beat" || event === "rows") this.#timed(data);
    const since = performance.now() - this.#walkedAt;
    if (event === "rows" && !this.#isGrouped) this.#merged(data);
    const isBare = since > TRENDS_MS && this.rows.length <= FIRST && this.rows.some(({ trend }) => !trend);
    if (this.problem || (this.#isGrouped && event === "rows")) this.#isBehind = true;
    if (event === "poll" || since > WALK_MS || isBare || (this.#isBehind && since > GROUPED_MS)) {
      if (!this.isLoading) this.walk();
    } else this.changed();
  }

  #timed({ as_of, watermark, stale, stale_s }) {
    if (this.head) Object.assign(this.head, { as_of, watermark, stale, stale_s });
    if (this.#isLive && (this.problem?.status === 503 || this.problem?.status === 0)) this.problem = null;
  }

  /** New values of rows we have, and the order of the first ones. */
  #merged({ rows, order, total, matched, summary }) {
    if (!this.head) return;
    Object.assign(this.head, { total, matched, summary });
    const byId = new Map(this.rows.map((row) => [row.id, row]));
    for (const row of rows) byId.set(row.id, { ...row, trend: byId.get(row.id)?.trend });
    if (!order) {
      this.rows = this.rows.map(({ id }) => byId.get(id));
      return;
    }
    const first = new Set(order);
    const rest = this.rows.length > FIRST ? this.rows.filter(({ id }) => !first.has(id)) : [];
    this.rows = [...order.map((id) => byId.get(id)).filter(Boolean), ...rest];
  }
}
