/** The keyboard: everything can be reached with Tab and Enter; these keys are quicker. */

import { dialog } from "./dialogs.js";
import { h } from "./dom.js";

const ROOMS = { s: "sessions", t: "tasks", l: "lab", d: "documents", u: "usage", b: "blueprints" };
const LISTED = [
  ["j ↓", "the next row of the list"],
  ["k ↑", "the row before"],
  ["Enter", "open the row"],
  ["Escape", "leave a field; back to the list"],
  ["/", "search in what was said"],
  ["n", "something new: a session, a task, a document, a blueprint"],
  ["g then s t l d u b", "go to sessions, tasks, lab, documents, usage, blueprints"],
  ["?", "this list"],
];
const SEQUENCE_MS = 1500;

let g_at = 0;

/** Listens for as long as the page is there. */
export function start() {
  document.addEventListener("keydown", onKey);
}

/** Shows what the keys do. */
export function help() {
  const rows = LISTED.map(([keys, does]) => h("div", {}, h("dt", {}, keys.split(" ").map((key) => (key === "then" ? key : h("kbd", {}, key)))), h("dd", {}, does)));
  return dialog("Keyboard shortcuts", h("dl", { class: "keys" }, rows), [{ name: "close", label: "Close", kind: "primary" }]);
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const target = /** @type {HTMLElement} */ (event.target);
  if (target.matches("input, textarea, select")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (handled(event, target)) event.preventDefault();
}

/** @param {KeyboardEvent} event @param {HTMLElement} target */
function handled(event, target) {
  const after_g = Date.now() - g_at < SEQUENCE_MS;
  g_at = 0;
  if (after_g && event.key in ROOMS) {
    location.hash = `#/${ROOMS[/** @type {keyof typeof ROOMS} */ (event.key)]}`;
    return true;
  }
  switch (event.key) {
    case "g":
      g_at = Date.now();
      return true;
    case "?":
      help();
      return true;
    case "/":
      document.getElementById("search")?.focus();
      return true;
    case "n":
      return press("[data-new]");
    case "Escape":
      return press("[data-back]");
    case "j":
      return step(1);
    case "k":
      return step(-1);
    case "ArrowDown":
      return isOfList(target) && step(1);
    case "ArrowUp":
      return isOfList(target) && step(-1);
    default:
      return false;
  }
}

/** Arrow keys scroll everywhere but in a list. @param {HTMLElement} target */
const isOfList = (target) => target === document.body || target.matches("[data-row], main");

/** @param {string} selector */
function press(selector) {
  const found = [...document.querySelectorAll(selector)].find((one) => /** @type {HTMLElement} */ (one).offsetParent !== null);
  /** @type {HTMLElement | undefined} */ (found)?.click();
  return found !== undefined;
}

/** @param {number} by */
function step(by) {
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-row]")]).filter((row) => row.offsetParent !== null);
  if (!rows.length) return false;
  const here = rows.findIndex((row) => row === document.activeElement);
  const from = here >= 0 ? here : rows.findIndex((row) => row.getAttribute("aria-current"));
  const next = Math.min(rows.length - 1, Math.max(0, from + by));
  rows[next].focus();
  rows[next].scrollIntoView({ block: "nearest" });
  return true;
}
