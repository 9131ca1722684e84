/**
 * Text of models, people and boards as elements. A little Markdown (paragraphs, headings, lists, fenced code, `code`, **strong**,
 * web addresses) is enough for what agents say; everything becomes text nodes, so that nothing in it can act.
 */

import { h } from "./dom.js";

const MOST_CHARS = 20_000;
const MOST_WITH_MARKUP = 50_000;
const FENCE = /^ {0,3}(```+|~~~+)\s*([\w+#.-]*)/;
const HEADING = /^(#{1,6})\s+(.*)$/;
const ITEM = /^\s*(?:[-*+]|(\d{1,4})[.)])\s+(.*)$/;
const INLINE = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|(https?:\/\/[^\s<>"'`]+)/g;

/** @param {string} text @returns {HTMLElement} */
export function prose(text) {
  const element = h("div", { class: "prose" });
  if (text.length > MOST_WITH_MARKUP) element.append(long(text));
  else element.append(...blocks(text.split(/\r?\n/)));
  return element;
}

/** @param {string[]} lines @returns {Element[]} */
function blocks(lines) {
  /** @type {Element[]} */
  const made = [];
  for (let at = 0; at < lines.length; ) {
    const fence = FENCE.exec(lines[at]);
    const heading = HEADING.exec(lines[at]);
    if (fence) {
      const end = first(lines, at + 1, (line) => line.trimStart().startsWith(fence[1]));
      made.push(code(lines.slice(at + 1, end).join("\n"), fence[2]));
      at = end + 1;
    } else if (heading) {
      made.push(h("p", { class: "heading", role: "heading", "aria-level": "4" }, inline(heading[2])));
      at += 1;
    } else if (ITEM.test(lines[at])) {
      const end = first(lines, at + 1, (line) => !ITEM.test(line));
      made.push(list(lines.slice(at, end)));
      at = end;
    } else if (!lines[at].trim()) {
      at += 1;
    } else {
      const end = first(lines, at + 1, startsAnother);
      made.push(h("p", {}, inline(lines.slice(at, end).join("\n"))));
      at = end;
    }
  }
  return made;
}

/** @param {string} line */
const startsAnother = (line) => !line.trim() || FENCE.test(line) || HEADING.test(line) || ITEM.test(line);

/** Where the first line like that is, or the end. @param {string[]} lines @param {number} from @param {(line: string) => boolean} is */
function first(lines, from, is) {
  let at = from;
  while (at < lines.length && !is(lines[at])) at += 1;
  return at;
}

/** @param {string[]} lines */
function list(lines) {
  const [, number] = /** @type {RegExpExecArray} */ (ITEM.exec(lines[0]));
  const items = lines.map((line) => h("li", {}, inline(/** @type {RegExpExecArray} */ (ITEM.exec(line))[2])));
  return number === undefined ? h("ul", {}, items) : h("ol", { start: number }, items);
}

/** @param {string} text @returns {import("./dom.js").Child[]} */
function inline(text) {
  const made = [];
  let from = 0;
  for (const found of text.matchAll(INLINE)) {
    made.push(text.slice(from, found.index));
    from = found.index + found[0].length;
    if (found[1] !== undefined) made.push(h("code", {}, found[1]));
    else if (found[2] !== undefined) made.push(h("strong", {}, found[2]));
    else made.push(h("a", { href: found[3], target: "_blank", rel: "noopener noreferrer" }, found[3]));
  }
  made.push(text.slice(from));
  return made;
}

/** Code or output, as it is. @param {string} text @param {string} [language] */
export function code(text, language = "") {
  return h("div", { class: "code", "data-language": language || null }, long(text, "pre"));
}

/** Text of any length: the beginning, and the rest when it is asked for. @param {string} text @param {string} [tag] */
export function long(text, tag = "pre") {
  const element = h(tag, { class: "long", tabindex: tag === "pre" ? "0" : null }, text.slice(0, MOST_CHARS));
  if (text.length <= MOST_CHARS) return element;
  const more = h(
    "button",
    { type: "button", class: "quiet", onclick: () => { element.textContent = text; more.remove(); } },
    `… ${text.length - MOST_CHARS} characters more`,
  );
  return h("div", {}, element, more);
}

/** What a snippet of the search marks between U+0002 and U+0003, marked. @param {string} snippet */
export function marked(snippet) {
  return snippet.split("\u0002").flatMap((part, index) => {
    if (index === 0) return [part];
    const [hit, ...rest] = part.split("\u0003");
    return [h("mark", {}, hit), rest.join("")];
  });
}

/** Anything as text: a string as it is, all else as JSON. @param {any} value */
export function written(value) {
  if (typeof value === "string") return value;
  if (isBlocks(value)) return value.map((/** @type {any} */ block) => block.text ?? JSON.stringify(block)).join("\n");
  return JSON.stringify(value, null, 2) ?? "";
}

/** @param {any} value */
const isBlocks = (value) => Array.isArray(value) && value.length > 0 && value.every((one) => one && typeof one === "object" && "type" in one);
