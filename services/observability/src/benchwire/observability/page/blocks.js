/** The items of a timeline as elements. */

import { h } from "./dom.js";
import { at, count, duration } from "./format.js";
import { code, long, prose, written } from "./text.js";

const WORDS = { running: "running", done: "done", failed: "failed", left: "no answer" };
const SUMMARY_CHARS = 160;

/** @param {import("./fold.js").Item} item @param {Element} [before] what showed it until now @returns {Element} */
export function element(item, before) {
  switch (item.kind) {
    case "message":
      return message(item);
    case "tool":
      return tool(item, before);
    case "usage":
      return usage(item);
    case "mark":
      return h("li", { class: `mark ${item.tone}` }, h("span", {}, item.text), at(item.at));
  }
}

/** @param {import("./fold.js").Message} item */
function message(item) {
  const who = item.role === "user" ? "User" : "Assistant";
  return h(
    "li",
    { class: `message ${item.role === "user" ? "user" : "assistant"}` },
    h("div", { class: "who" }, h("strong", {}, who), at(item.at)),
    item.parts.map((part) => {
      if (part.kind === "text") return prose(part.text);
      if (part.kind === "thinking") return h("details", { class: "thinking" }, h("summary", {}, "Thinking"), prose(part.text));
      return code(written(part.value), "json");
    }),
  );
}

/** @param {import("./fold.js").Tool} item @param {Element} [before] */
function tool(item, before) {
  const open = before?.querySelector("details")?.open ?? item.state === "failed";
  const details = h("details", { open });
  // What is folded is made when it is opened: most never is.
  const fill = () => {
    if (!details.open || details.childElementCount > 1) return;
    if (item.input !== undefined) details.append(h("h4", {}, "Input"), input(item.input));
    if (item.error) details.append(h("h4", {}, "Error"), h("div", { class: "code wrong" }, long(item.error)));
    if (item.output !== undefined && item.output !== null) details.append(h("h4", {}, "Output"), code(written(item.output)));
  };
  details.append(
    h(
      "summary",
      {},
      h("span", { class: `dot ${item.state}`, "aria-hidden": "true" }),
      h("strong", {}, item.name),
      h("span", { class: "gist" }, gist(item.input)),
      h("span", { class: "state" }, WORDS[item.state], item.duration_s !== null && ` · ${duration(item.duration_s)}`),
    ),
  );
  details.addEventListener("toggle", fill);
  fill();
  return h("li", { class: `tool ${item.state}` }, details);
}

/** A call in a line: its command, its path, or the first text in it. @param {any} given */
function gist(given) {
  if (given === null || typeof given !== "object") return "";
  const texts = [given.command, given.path, given.file_path, ...Object.values(given)];
  const text = texts.find((one) => typeof one === "string" || typeof one === "number");
  return String(text ?? "").slice(0, SUMMARY_CHARS);
}

/** @param {any} given */
function input(given) {
  if (given === null || typeof given !== "object" || Array.isArray(given)) return code(written(given));
  const rows = Object.entries(given).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, code(written(value)))));
  return rows.length ? h("dl", { class: "given" }, rows) : h("p", { class: "faint" }, "none");
}

/** @param {import("./fold.js").Usage} item */
function usage({ event, at: moment }) {
  const cached = event.cache_read_input_tokens ? ` (${count(event.cache_read_input_tokens)} cached)` : "";
  const parts = [event.model, `${count(event.input_tokens ?? 0)} in${cached}`, `${count(event.output_tokens ?? 0)} out`];
  if (event.duration_s) parts.push(duration(event.duration_s));
  if (event.stop_reason && !["end_turn", "tool_use"].includes(event.stop_reason)) parts.push(event.stop_reason);
  return h("li", { class: "usage" }, h("span", {}, parts.join(" · ")), at(moment));
}
