/** One session: who it is, its timeline, and what can be done with it. */

import { ask, call, query } from "./api.js";
import { attempt, confirmed, dialog, notice, pressed } from "./dialogs.js";
import { fill, h } from "./dom.js";
import { badge, href, since } from "./format.js";
import { save } from "./saving.js";
import { Talk } from "./talk.js";
import { prose } from "./text.js";
import { Timeline } from "./timeline.js";

const MOST_CHILDREN = 12;

export class SessionView {
  /** @param {string} session_id @param {HTMLElement} place */
  constructor(session_id, place) {
    this.session_id = session_id;
    this.path = `sessions/${encodeURIComponent(session_id)}`;
    this.leaving = new AbortController();
    /** @type {import("./sessions.js").Session | null} */
    this.session = null;
    /** @type {import("./sessions.js").Session[]} */
    this.children = [];
    this.head = h("header", { class: "head" });
    this.timeline = new Timeline(session_id, this.leaving.signal);
    this.talk = new Talk(this.path, this.leaving.signal);
    fill(place, this.head, this.talk.waiting, this.timeline.element, this.talk.form);
    this.read();
  }

  /** Leaves nothing behind. */
  close() {
    this.leaving.abort();
  }

  async read() {
    const signal = this.leaving.signal;
    const below = query({ parent_session_id: this.session_id, limit: MOST_CHILDREN });
    const both = await attempt(() => Promise.all([call(this.path, { signal }), call(`sessions${below}`, { signal })]));
    if (!both) return;
    this.session = both[0].session;
    this.children = both[1].sessions;
    this.draw();
    this.talk.update(this.session);
  }

  /** @param {import("./live.js").Frame} frame */
  hear(frame) {
    if (frame.type === "init") {
      this.read();
      this.timeline.begin();
    } else if (frame.type === "event" && frame.data.session_id === this.session_id) this.timeline.add(frame.data);
    else if (frame.type === "session_deleted" && frame.session_id === this.session_id) this.gone();
    else if (frame.type === "session_updated" || frame.type === "session_created") this.changed(frame.session);
  }

  /** @param {import("./sessions.js").Session} session */
  changed(session) {
    if (session.session_id === this.session_id) {
      this.session = session;
      this.talk.update(session);
    } else if (session.parent_session_id === this.session_id) {
      this.children = [session, ...this.children.filter((one) => one.session_id !== session.session_id)].slice(0, MOST_CHILDREN);
    } else return;
    this.draw();
  }

  gone() {
    notice("The session was deleted.");
    location.hash = "#/sessions";
  }

  draw() {
    const one = this.session;
    if (!one) return;
    const busy = document.activeElement && this.head.contains(document.activeElement) ? document.activeElement.getAttribute("data-does") : null;
    fill(
      this.head,
      h(
        "div",
        { class: "title" },
        h("a", { class: "back", href: "#/sessions", "data-back": true, "aria-label": "Back to the list" }, "‹"),
        h("h2", {}, one.session_name),
        badge(one.status),
      ),
      h("div", { class: "facts" }, this.facts(one)),
      h("div", { class: "actions" }, this.actions(one)),
    );
    if (busy) this.head.querySelector(`[data-does="${busy}"]`)?.focus();
  }

  /** @param {import("./sessions.js").Session} one */
  facts(one) {
    const parent = one.parent_session_id ?? one.parent_session_name;
    return [
      h("code", { title: "The session's id" }, one.session_id),
      one.agent_name && h("span", {}, `by ${one.agent_name}`),
      one.project_dir && h("span", {}, "in ", h("code", {}, one.project_dir)),
      h("span", {}, "started ", since(one.created_at)),
      one.status === "failed" && one.reason && h("span", { class: "wrong" }, one.reason),
      parent && h("span", {}, "child of ", one.parent_session_id ? h("a", { href: href("sessions", parent) }, one.parent_session_name ?? parent) : parent),
      this.children.length > 0 &&
        h("span", {}, "children: ", this.children.map((child) => [h("a", { href: href("sessions", child.session_id) }, child.session_name), " "])),
    ];
  }

  /** @param {import("./sessions.js").Session} one */
  actions(one) {
    const runs = one.status === "running" || one.status === "stopping";
    return [
      runs && h("button", { type: "button", class: "stop", "data-does": "stop", disabled: one.status === "stopping", onclick: this.stop }, one.status === "stopping" ? "Stopping …" : "Stop"),
      !runs && h("button", { type: "button", "data-does": "result", onclick: this.result }, "Result"),
      h("button", { type: "button", "data-does": "export", title: "Every event of the session, one a line", onclick: this.exported }, "Export"),
      h("button", { type: "button", class: "danger quiet", "data-does": "delete", onclick: this.remove }, "Delete"),
    ];
  }

  /** @param {Event} event */
  stop = (event) =>
    pressed(/** @type {HTMLButtonElement} */ (event.currentTarget), "Stopping …", async () => {
      const answer = await call(`${this.path}/stop`, { method: "POST" });
      notice(answer.message);
      await this.read();
    });

  result = async () => {
    const answer = await attempt(() => call(`${this.path}/result`));
    if (answer) await dialog("Result", h("div", { class: "result", tabindex: "0" }, prose(answer.result)), [{ name: "close", label: "Close", kind: "primary" }]);
  };

  exported = () => attempt(async () => save(await (await ask(`${this.path}/export`, {})).blob(), `${this.session_id}.ndjson`));

  remove = async () => {
    const name = this.session?.session_name ?? this.session_id;
    const text = `“${name}” and everything that was said in it will be gone, also from the log. A session that still runs is stopped first.`;
    if (await confirmed("Delete this session?", text, "Delete")) await attempt(() => call(this.path, { method: "DELETE" }));
  };
}
