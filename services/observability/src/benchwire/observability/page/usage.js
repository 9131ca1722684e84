/** What the models cost, in tokens, by day or by model. */

import { call, query } from "./api.js";
import { attempt } from "./dialogs.js";
import { fill, h } from "./dom.js";
import { count, href } from "./format.js";

const BY = { day: "by day", model: "by model", session: "by session", task: "by task" };
const OF_NONE = { session: "tasks, and sessions that were deleted", task: "sessions" };
const COLUMNS = [
  ["calls", "Calls"],
  ["input_tokens", "Input"],
  ["cache_read_input_tokens", "Cached"],
  ["cache_creation_input_tokens", "Into cache"],
  ["output_tokens", "Output"],
];

/** @type {import("./main.js").Room} */
export function show({ place, signal }) {
  const table = h("div", { class: "wide" });
  const tabs = h("div", { class: "tabs", role: "group", "aria-label": "Summed up" });
  place.append(h("section", { class: "page", "aria-label": "Usage" }, h("h1", {}, "Usage"), tabs, table));

  const read = async (/** @type {keyof typeof BY} */ by) => {
    fill(tabs, Object.entries(BY).map(([name, label]) => h("button", { type: "button", "aria-pressed": String(name === by), onclick: () => read(/** @type {any} */ (name)) }, label)));
    const answer = await attempt(() => call(`usage${query({ by })}`, { signal }));
    if (answer) fill(table, answer.usage.length ? drawn(answer, by) : h("p", { class: "empty" }, "No model was called yet."));
  };
  read("day");
}

/** @param {any} answer @param {string} by */
function drawn({ usage, total }, by) {
  const cells = (/** @type {any} */ one) => [
    COLUMNS.map(([field]) => h("td", {}, count(one[field] ?? 0))),
    h("td", {}, one.cost_usd === null || one.cost_usd === undefined ? "–" : `$${one.cost_usd.toFixed(2)}`),
  ];
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, by), COLUMNS.map(([, label]) => h("th", { scope: "col" }, label)), h("th", { scope: "col" }, "Cost"))),
    h("tbody", {}, usage.map((/** @type {any} */ one) => h("tr", {}, h("th", { scope: "row" }, named(one, by)), cells(one)))),
    h("tfoot", {}, h("tr", {}, h("th", { scope: "row" }, "All"), cells(total))),
  );
}

/** @param {any} one @param {string} by */
function named(one, by) {
  if (by === "session" && one.session_id) return h("a", { href: href("sessions", one.session_id) }, one.session_name ?? one.session_id);
  if (by === "task" && one.task_id) return h("a", { href: href("tasks", one.task_id) }, one.task_id);
  if (by === "session" || by === "task") return OF_NONE[by];
  return one[by] ?? "unknown";
}
