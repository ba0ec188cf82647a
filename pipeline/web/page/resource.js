// One answer that a view shows: the last good one is kept and shown as old while newer ones fail.

import { get } from "./api.js";

export class Resource {
  data = null;
  problem = null;
  goodAt = null; // when `data` came
  #stop = null;
  #asked = "";

  constructor(changed) {
    this.changed = changed;
  }

  /** Ask for something; another thing than before forgets what was shown. */
  async load(path, params) {
    const asked = `${path}?${new URLSearchParams(params)}`;
    if (asked !== this.#asked) Object.assign(this, { data: null, problem: null });
    this.#asked = asked;
    this.#stop?.abort();
    const stop = (this.#stop = new AbortController());
    try {
      const data = await get(path, params, stop.signal);
      if (stop !== this.#stop) return;
      Object.assign(this, { data, problem: null, goodAt: new Date() });
    } catch (error) {
      if (error.name === "AbortError") return;
      this.problem = error;
    }
    this.changed();
  }

  close() {
    this.#stop?.abort();
  }
}
