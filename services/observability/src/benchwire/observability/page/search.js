/** What was said, in all sessions, found by its words. */

import { call, query } from "./api.js";
import { attempt } from "./dialogs.js";
import { h } from "./dom.js";
import { count, href, since } from "./format.js";
import { marked } from "./text.js";

const PAGE = 50;
const WORDS = { message: "said", pre_tool: "tool called", post_tool: "tool answered" };

/** @type {import("./main.js").Room} */
export function show({ place, given, signal }) {
  const q = given.get("q") ?? "";
  const rows = h("ul", { class: "rows results" });
  const told = h("p", { class: "faint edge", role: "status" }, q ? "searching …" : "Say in the field above what to look for.");
  const more = h("button", { type: "button", hidden: true, onclick: () => read() }, "Show more");
  place.append(h("section", { class: "page", "aria-label": "Search" }, h("h1", {}, "Search"), told, rows, more));
  /** @type {string | null} */
  let cursor = null;

  const read = async () => {
    const answer = await attempt(() => call(`events${query({ q, limit: PAGE, cursor })}`, { signal }));
    if (!answer) return void (told.textContent = "");
    rows.append(...answer.results.map(row));
    cursor = answer.next_cursor;
    more.hidden = !cursor;
    const found = rows.childElementCount;
    told.textContent = found ? `${count(found)}${cursor ? " or more" : ""} found for “${q}”` : `Nothing was found for “${q}”.`;
  };
  if (q) read();
}

/** @param {any} one */
function row(one) {
  const kind = WORDS[/** @type {keyof typeof WORDS} */ (one.event_type)] ?? one.event_type.replaceAll("_", " ");
  return h(
    "li",
    {},
    h(
      "a",
      { href: href("sessions", one.session_id), "data-row": true },
      h("span", { class: "name" }, one.session_name),
      h("span", { class: "faint" }, `${one.tool_name ?? kind} · `, since(one.timestamp)),
      h("span", { class: "snippet" }, marked(one.snippet)),
    ),
  );
}
