// The JSON API, and nothing else is ever asked. The browser keeps answers and their ETags; a token stays in this tab.

const KEY = "burnline-token";

/** An answer that is none: what was wrong in words, and since when. `status` 0: nobody answered at all. */
export class Problem extends Error {
  constructor(status, detail, lastGoodAt = null, retryAfterS = null) {
    super(detail);
    Object.assign(this, { status, detail, lastGoodAt, retryAfterS });
  }
}

export const keepToken = (token) => sessionStorage.setItem(KEY, token);

function headers(more) {
  const token = sessionStorage.getItem(KEY);
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

async function problemOf(response) {
  const said = await response.json().catch(() => ({}));
  const detail = said.detail ?? said.error ?? said.title ?? response.statusText;
  return new Problem(response.status, detail, said.last_good_at ?? null, said.retry_after_s ?? null);
}

export function address(path, params = {}) {
  const query = params instanceof URLSearchParams ? new URLSearchParams(params) : new URLSearchParams();
  if (!(params instanceof URLSearchParams))
    for (const [key, value] of Object.entries(params))
      if (value !== undefined && value !== null && value !== "") query.append(key, value);
  return `/api/v1/${path}${query.size ? `?${query}` : ""}`;
}

/** Ask; the answer is a Response that is good. Raises Problem, or AbortError when told to stop. */
export async function request(path, params, signal, more = {}) {
  let response;
  try {
    response = await fetch(address(path, params), { signal, headers: headers(more), credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "Burnline does not answer.");
  }
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (problem.status === 401) dispatchEvent(new Event("tokenneeded"));
  throw problem;
}

export async function get(path, params, signal) {
  const response = await request(path, params, signal);
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The answer broke off.");
  }
}
