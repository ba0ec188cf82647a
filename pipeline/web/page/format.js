// Numbers, lengths and times as people read them. Pure. What is unknown is said so in words: never 0, never an empty cell.

export const NO_DATA = "no data";

const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);

const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (value) => (known(value) ? plain.format(value) : NO_DATA);
export const compact = (value) => (known(value) ? short.format(value) : NO_DATA);

/** A ratio as a percentage; never rounded up to 100 %, since 99.9996 % has failures in it. */
export function percent(ratio, decimals = 2) {
  if (!known(ratio)) return NO_DATA;
  const scale = 10 ** decimals;
  const scaled = ratio * 100 * scale;
  const rounded = ratio < 1 ? Math.min(Math.round(scaled), 100 * scale - 1) : Math.round(scaled);
  return `${(rounded / scale).toFixed(decimals).replace("-", "−")} %`;
}

/** A target with all its digits and no more: 99.95 %. */
export const target = (ratio) => (known(ratio) ? `${+(ratio * 100).toPrecision(10)} %` : NO_DATA);

export function burn(rate) {
  if (!known(rate)) return NO_DATA;
  return `${rate >= 100 ? plain.format(rate) : rate.toFixed(rate >= 10 ? 1 : 2)}×`;
}

const UNITS = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
  [0.001, "ms"],
  [0.000001, "µs"],
];

/** A length of time in its largest whole unit: 3.2 d, 5 min, 420 ms. */
export function duration(seconds) {
  if (!known(seconds)) return NO_DATA;
  if (seconds === 0) return "0 s";
  const [size, unit] = UNITS.find(([size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
  const amount = seconds / size;
  return `${+amount.toFixed(amount < 10 ? 1 : 0)} ${unit}`;
}

export const micros = (value) => (known(value) ? duration(value / 1e6) : NO_DATA);

/** How long a budget lasts; one that is spent does not last 0 s. */
export const lasts = (seconds) => (seconds > 0 ? `spent in ${duration(seconds)}` : "spent");

/** The labels of an instance, with room to break a line between them. */
export const labelled = (instance) => instance.replaceAll(",", ", ");

/** What the API calls a time, as a Date; null stays null. It speaks UTC in ISO 8601, with or without a zone. */
export function instant(text) {
  if (!known(text) || text === "") return null;
  if (typeof text === "number") return new Date(text * 1000);
  return new Date(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text.replace(" ", "T")}Z`);
}

const HOURS = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const minutes = new Intl.DateTimeFormat(undefined, HOURS);
const seconds = new Intl.DateTimeFormat(undefined, { ...HOURS, second: "2-digit" });
const days = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const sameDay = (one, other) => one.toDateString() === other.toDateString();

export const day = (date) => days.format(date);
export const clock = (date, hasSeconds = true) => (hasSeconds ? seconds : minutes).format(date);

/** The viewer's own time; the day is left out while it is today. */
export function local(date, now = new Date()) {
  if (!date) return NO_DATA;
  return sameDay(date, now) ? clock(date) : `${day(date)} ${clock(date)}`;
}

export const utc = (date) => (date ? `${date.toISOString().slice(0, 19).replace("T", " ")} UTC` : NO_DATA);

export const ago = (date, now = new Date()) =>
  date ? `${duration(Math.max(0, Math.round((now - date) / 1000)))} ago` : NO_DATA;
