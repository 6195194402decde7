// What numbers, times, rules and settings are called on the page.

export const duration = (seconds) => {
  if (seconds < 60) return `${seconds < 10 && seconds % 1 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const [unit, size, below, name] = seconds < 3600 ? ["min", 60, 1, "s"] : seconds < 172800 ? ["h", 3600, 60, "min"] : ["d", 86400, 3600, "h"];
  const whole = Math.floor(seconds / size), rest = Math.floor((seconds % size) / below);
  return rest ? `${whole} ${unit} ${rest} ${name}` : `${whole} ${unit}`;
};
export const moment = (seconds, now) => {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return "far ahead";
  const time = date.toLocaleTimeString("en-GB");
  return Math.abs(now - seconds) < 43200 ? time : `${date.toLocaleDateString("en-CA")} ${time}`;
};
export const count = (number, name) => `${number} ${name}${number === 1 ? "" : "s"}`;
const limit = (number, unit) => (number === null ? "no limit" : `${number}${unit}`);
export const nameOf = (rule) => rule.split(/[=@]/, 1)[0];
/** When a rule strikes, such as "10 % of all queries", "submit 3" or "downloads from 2 on". */
export const timesOf = (rule) => {
  const share = /=([0-9.]+)/.exec(rule), calls = /@(\d+)(-)?(\d+)?/.exec(rule);
  const words = share ? `${+(share[1] * 100).toFixed(4)} % of ` : "";
  const one = nameOf(rule).split("-", 1)[0], all = one === "query" ? "queries" : `${one}s`;
  if (!calls) return share ? `${words}all ${all}` : `every ${one}`;
  if (!calls[2]) return `${words}${one} ${calls[1]}`;
  return `${words}${all} ${calls[3] ? `${calls[1]} to ${calls[3]}` : `from ${calls[1]} on`}`;
};
export const struckWords = (times) => ["not struck yet", "struck once"][times] ?? `struck ${times} times`;
export const settingRows = (given) => [
  ["Codes", given.reading === "A" ? "reading A: success is 23500000" : "reading B: success is 0"],
  ["Gateway", given.gateway],
  ["Nonces", given.nonces],
  ["Half of the tasks end within", duration(given.median_seconds)],
  ["Tasks that fail", `${+(given.failure_rate * 100).toFixed(2)} %`],
  ["Result addresses work for", duration(given.result_lifetime_seconds)],
  ["Results are kept for", duration(given.retention_seconds)],
  ["Masks keep what is", given.mask_keeps],
  ["Submits", limit(given.submit_rate, " a second")],
  ["Queries", limit(given.query_rate, " a second")],
  ["Running at once", limit(given.max_running, "")],
  ["Throttled by", given.throttled_by],
  ["Retry-After", given.retry_after_seconds === null ? "not sent" : duration(given.retry_after_seconds)],
  ["Pictures", given.quality],
  ["Seed", String(given.seed)],
];
