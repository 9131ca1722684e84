/** The page: which room is shown, and whether the lab is heard. */

import { show as blueprints } from "./blueprints.js";
import { show as documents } from "./documents.js";
import { fill, h } from "./dom.js";
import { tick } from "./format.js";
import * as keys from "./keys.js";
import { show as lab } from "./lab.js";
import * as live from "./live.js";
import { show as search } from "./search.js";
import { show as sessions } from "./sessions.js";
import { show as tasks } from "./tasks.js";
import { show as usage } from "./usage.js";

/**
 * A room fills `place`, and leaves nothing behind when `signal` is aborted. It may return what to call with a new `id` instead of
 * being made anew.
 *
 * @typedef {{place: HTMLElement, id: string | null, given: URLSearchParams, signal: AbortSignal}} Visit
 * @typedef {(visit: Visit) => void | ((id: string | null) => void)} Room
 */

/** @type {Record<string, {title: string, show: Room, hidden?: boolean}>} */
const ROOMS = {
  sessions: { title: "Sessions", show: sessions },
  tasks: { title: "Tasks", show: tasks },
  lab: { title: "Lab", show: lab },
  documents: { title: "Documents", show: documents },
  usage: { title: "Usage", show: usage },
  blueprints: { title: "Blueprints", show: blueprints },
  search: { title: "Search", show: search, hidden: true },
};
const TICK_MS = 15_000;

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const rooms = /** @type {HTMLElement} */ (document.getElementById("rooms"));
const link = /** @type {HTMLElement} */ (document.getElementById("link"));
const search_field = /** @type {HTMLInputElement} */ (document.getElementById("search"));

let leaving = new AbortController();
let shown = "";
/** @type {void | ((id: string | null) => void)} */
let turn;

/** What the address says: `#/room/id?given`. */
function route() {
  const [path, given] = location.hash.replace(/^#\/?/, "").split("?");
  const [room, ...rest] = path.split("/");
  return { room: room in ROOMS ? room : "sessions", id: decoded(rest.join("/")), given: new URLSearchParams(given) };
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text) || null;
  } catch {
    return text;
  }
}

/** Says where one is. @param {string} room @param {URLSearchParams} given */
function name(room, given) {
  document.title = `${ROOMS[room].title} · Benchwire`;
  for (const one of rooms.children) {
    if (one.getAttribute("href") === `#/${room}`) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  search_field.value = room === "search" ? (given.get("q") ?? "") : "";
}

function follow() {
  const { room, id, given } = route();
  name(room, given);
  if (room === shown && turn) turn(id);
  else enter(room, id, given);
  // What had the focus may be hidden now; without any, Tab would begin at the top of the page.
  requestAnimationFrame(() => document.activeElement === document.body && main.focus({ preventScroll: true }));
}

/** @param {string} room @param {string | null} id @param {URLSearchParams} given */
function enter(room, id, given) {
  leaving.abort();
  leaving = new AbortController();
  shown = room;
  fill(main);
  main.className = `room ${room}`;
  turn = ROOMS[room].show({ place: main, id, given, signal: leaving.signal });
}

/** @param {import("./socket.js").State} state @param {number} wait_ms */
function tellState(state, wait_ms) {
  const words = { connecting: "connecting", live: "live", waiting: wait_ms ? `back in ${Math.round(wait_ms / 1000)} s` : "not connected", closed: "closed" };
  const titles = { live: "Connected: what happens is shown as it happens", waiting: "The connection is gone; what is shown may be old" };
  link.className = `link ${state}`;
  link.title = titles[/** @type {keyof typeof titles} */ (state)] ?? "";
  fill(link, h("i", { "aria-hidden": "true" }), h("span", {}, words[state]));
}

fill(
  rooms,
  Object.entries(ROOMS).filter(([, room]) => !room.hidden).map(([name, room]) => h("a", { href: `#/${name}` }, room.title)),
);
document.querySelector(".skip")?.addEventListener("click", (event) => {
  event.preventDefault(); // the address names the room
  main.focus();
});
document.getElementById("help")?.addEventListener("click", () => keys.help());
document.getElementById("seek")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = search_field.value.trim();
  if (wanted) location.hash = `#/search?q=${encodeURIComponent(wanted)}`;
});
window.addEventListener("hashchange", follow);
setInterval(tick, TICK_MS);
keys.start();
live.start(tellState);
const { room, id, given } = route();
name(room, given);
enter(room, id, given);
