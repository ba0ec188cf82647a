// What changes, as it changes: server-sent events read from a fetch, since an EventSource cannot carry a token. Goes on
// trying for as long as the page is open, and always says how things are: connecting, live, polling, away.

import { Problem, request } from "./api.js";

const SILENT_MS = 15_000; // the server speaks each 5 s; a connection that says nothing this long is dead
const RETRY_MS = [500, 1000, 2000, 5000];
const POLL_MS = 5000;

/** Cut a stream of text into events: `{event, id, data}`. */
async function* events(reader, touched) {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    touched();
    text += decoder.decode(value, { stream: true });
    const blocks = text.split(/\r?\n\r?\n/);
    text = blocks.pop();
    for (const block of blocks) yield Object.fromEntries(block.split(/\r?\n/).map(field));
  }
}

function field(line) {
  const colon = line.indexOf(":");
  return [line.slice(0, colon), line.slice(colon + 1).trimStart()];
}

export class Live {
  #params = null;
  #stop = null;
  #lastId = "";
  #failures = 0;
  #timer = 0;

  constructor(onState, onEvent) {
    this.onState = onState;
    this.onEvent = onEvent;
  }

  /** Listen to this part of the fleet; nothing happens when that is what we listen to already. */
  open(params) {
    const wanted = String(params);
    if (wanted === this.#params) return;
    this.#params = wanted;
    this.#lastId = "";
    this.#connect();
  }

  #again(state, detail, wait = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)]) {
    this.onState({ state, detail });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), wait);
  }

  async #connect() {
    this.#stop?.abort();
    clearTimeout(this.#timer);
    const stop = (this.#stop = new AbortController());
    try {
      await this.#listen(stop);
      if (!stop.signal.aborted || stop.isSilent) this.#again("away", "The connection ended.");
    } catch (error) {
      if (stop === this.#stop && (!stop.signal.aborted || stop.isSilent)) this.#failed(error);
    } finally {
      clearTimeout(stop.watch);
    }
  }

  async #listen(stop) {
    const touched = () => {
      clearTimeout(stop.watch);
      stop.watch = setTimeout(() => {
        stop.isSilent = true;
        stop.abort();
      }, SILENT_MS);
    };
    touched();
    const more = this.#lastId ? { "Last-Event-ID": this.#lastId } : {};
    const response = await request("live", new URLSearchParams(this.#params), stop.signal, more);
    for await (const { event, id, data } of events(response.body.getReader(), touched)) {
      if (stop !== this.#stop) return;
      if (id) this.#lastId = id;
      if (data) this.#heard(event, JSON.parse(data));
    }
  }

  #heard(event, data) {
    this.#failures = 0;
    if (event === "away") this.onState({ state: "away", detail: data.detail, lastGoodAt: data.last_good_at });
    else this.onState({ state: "live" });
    this.onEvent(event, data);
  }

  #failed(error) {
    const isFull = error instanceof Problem && error.status === 503 && /stream/i.test(error.detail);
    if (error instanceof Problem && error.status === 401) this.onState({ state: "away", detail: "A token is needed." });
    else if (isFull) {
      this.onEvent("poll", {});
      this.#again("polling", error.detail, POLL_MS);
    } else this.#again("away", error.detail ?? "The connection broke.");
  }

  /** Try at once: the network came back, or somebody gave a token. */
  retry() {
    if (this.#params !== null) this.#connect();
  }
}
