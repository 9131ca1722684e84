/** Sessions: the list, and beside it the one that is open. */

import { call, query } from "./api.js";
import { attempt, dialog } from "./dialogs.js";
import { h, reconcile, settled } from "./dom.js";
import { badge, href, since } from "./format.js";
import { listen } from "./live.js";
import { Pair } from "./pair.js";
import { SessionView } from "./session.js";

const PAGE = 50;
const MOST_ROWS = 3000;
const STATUSES = ["running", "stopping", "finished", "stopped", "failed"];

/**
 * @typedef {{session_id: string, session_name: string, status: string, created_at: string, modified_at: string, project_dir: string | null,
 *   agent_name: string | null, parent_session_name: string | null, parent_session_id?: string | null,
 *   reason?: string | null, code?: string | null, approvals?: number}} Session
 */

/** @type {import("./main.js").Room} */
export function show(visit) {
  const list = new List(visit.signal, () => pair.mark());
  const pair = new Pair(visit, { room: "sessions", list: list.element, empty: "Choose a session to follow it.", make: (id, place) => new SessionView(id, place) });
  listen((frame) => {
    list.hear(frame);
    pair.open?.hear(frame);
  }, visit.signal);
  list.begin();
  pair.turn(visit.id);
  return pair.turn;
}

class List {
  /** @param {AbortSignal} signal @param {() => void} onDraw */
  constructor(signal, onDraw) {
    this.signal = signal;
    this.onDraw = onDraw;
    /** @type {Session[]} */
    this.sessions = [];
    /** @type {string | null} */
    this.cursor = null;
    this.busy = false;
    this.rows = h("ul", { class: "rows" });
    this.foot = h("p", { class: "faint edge" });
    this.text = h("input", { type: "search", placeholder: "Filter by name or id", "aria-label": "Filter by name or id", autocomplete: "off" });
    this.status = h("select", { "aria-label": "Filter by status" }, h("option", { value: "" }, "all"), STATUSES.map((one) => h("option", { value: one }, one)));
    this.text.addEventListener("input", settled(() => this.begin(), 200));
    this.status.addEventListener("change", () => this.begin());
    this.scroller = h("div", { class: "scroller" }, this.rows, this.foot);
    this.element = h(
      "section",
      { class: "list", "aria-label": "Sessions" },
      h("div", { class: "head" }, h("h1", {}, "Sessions"), h("button", { type: "button", class: "primary", "data-new": true, onclick: newSession }, "New session")),
      h("div", { class: "filters" }, this.text, this.status),
      this.scroller,
    );
    this.near = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && this.more(), { root: this.scroller, rootMargin: "600px" });
    signal.addEventListener("abort", () => this.near.disconnect());
  }

  /** Reads the list anew, with the filters as they are. */
  async begin() {
    this.asked = {};
    const asked = this.asked;
    const page = await attempt(() => this.read(null));
    if (!page || asked !== this.asked) return;
    this.sessions = page.sessions;
    this.cursor = page.next_cursor ?? null;
    this.draw();
  }

  async more() {
    if (!this.cursor || this.busy) return;
    this.busy = true;
    const asked = this.asked;
    const page = await attempt(() => this.read(this.cursor));
    this.busy = false;
    if (!page || asked !== this.asked) return;
    const known = new Set(this.sessions.map((one) => one.session_id));
    this.sessions.push(...page.sessions.filter((/** @type {Session} */ one) => !known.has(one.session_id)));
    this.cursor = page.next_cursor ?? null;
    this.draw();
  }

  /** @param {string | null} cursor */
  read(cursor) {
    const given = { limit: PAGE, cursor, q: this.text.value.trim(), status: this.status.value };
    return call(`sessions${query(given)}`, { signal: this.signal });
  }

  /** @param {import("./live.js").Frame} frame */
  hear(frame) {
    if (frame.type === "init") this.begin();
    else if (frame.type === "session_created" || frame.type === "session_updated") this.put(frame.session);
    else if (frame.type === "session_deleted") this.sessions = this.sessions.filter((one) => one.session_id !== frame.session_id);
    else return;
    this.drawSoon();
  }

  /** @param {Session} session */
  put(session) {
    const at = this.sessions.findIndex((one) => one.session_id === session.session_id);
    if (at >= 0) this.sessions.splice(at, 1, ...(this.isWanted(session) ? [session] : []));
    else if (this.isWanted(session) && this.isInReach(session)) {
      const before = this.sessions.findIndex((one) => one.created_at <= session.created_at);
      this.sessions.splice(before < 0 ? this.sessions.length : before, 0, session);
      if (this.sessions.length > MOST_ROWS) this.begin();
    }
  }

  /** Whether it passes the filters. @param {Session} session */
  isWanted(session) {
    const text = this.text.value.trim().toLowerCase();
    const named = session.session_name.toLowerCase().includes(text) || session.session_id.toLowerCase().includes(text);
    return named && (!this.status.value || session.status === this.status.value);
  }

  /** Whether it belongs among the rows that were read; one further down comes with its page. @param {Session} session */
  isInReach(session) {
    const last = this.sessions.at(-1);
    return !this.cursor || !last || session.created_at >= last.created_at;
  }

  drawSoon = settled(() => this.draw(), 30);

  draw() {
    reconcile(this.rows, this.sessions, (one) => one.session_id, (one) => `${one.status} ${one.session_name} ${one.agent_name} ${one.modified_at}`, row);
    this.foot.textContent = this.cursor ? "reading more …" : this.sessions.length ? "" : "No session here yet. Start one with New session, or let your hooks report to POST /events.";
    this.onDraw();
    // Observed anew, it tells whether it is near also when it was so before.
    this.near.disconnect();
    if (this.cursor) this.near.observe(this.foot);
  }
}

/** @param {Session} one @param {Element} [before] */
function row(one, before) {
  const had_focus = before?.contains(document.activeElement);
  const link = h(
    "a",
    { href: href("sessions", one.session_id), "data-row": true },
    h("span", { class: "name" }, one.session_name),
    badge(one.status),
    h("span", { class: "faint" }, one.agent_name ? `${one.agent_name} · ` : "", since(one.modified_at)),
  );
  if (had_focus) queueMicrotask(() => link.focus());
  return h("li", {}, link);
}

/** Asks for a name and a prompt, and opens the session that comes of it. */
async function newSession() {
  const agents = (await call("agents").catch(() => [])) ?? [];
  const prompt = h("textarea", { rows: "6", required: true, placeholder: "What should the agent do?", autofocus: true });
  const name = h("input", { maxlength: "200", placeholder: "taken from the prompt" });
  const folder = h("input", { placeholder: "a directory on the runner's host" });
  const agent = h("select", {}, h("option", { value: "" }, "none"), agents.map((/** @type {any} */ one) => h("option", { value: one.name }, one.name)));
  const body = [
    h("label", { class: "field" }, h("span", {}, "Prompt"), prompt),
    h("label", { class: "field" }, h("span", {}, "Name"), name),
    h("label", { class: "field" }, h("span", {}, "Blueprint"), agent),
    h("label", { class: "field" }, h("span", {}, "Project directory"), folder),
  ];
  const done = await dialog("New session", body, [{ name: "no", label: "Cancel", skips: true }, { name: "yes", label: "Start", kind: "primary" }]);
  if (done !== "yes") return;
  const session_id = `session-${unlike()}`;
  const json = {
    session_id,
    session_name: name.value.trim() || prompt.value.trim().split("\n")[0].slice(0, 80),
    prompt: prompt.value,
    agent_name: agent.value || null,
    project_dir: folder.value.trim() || null,
  };
  const made = await attempt(() => call("sessions", { method: "POST", json }));
  if (made) location.hash = href("sessions", session_id);
}

/** Sixteen hex digits that nobody else has. `crypto.randomUUID` is only there on pages that came over TLS or from loopback. */
function unlike() {
  return [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
