/** What a person says to a session: messages, and whether a call that waits may run. */

import { call } from "./api.js";
import { attempt, notice, pressed } from "./dialogs.js";
import { h, reconcile } from "./dom.js";
import { at } from "./format.js";
import { code, written } from "./text.js";

const SAID = { queued: "It will hear that at its next turn.", resumed: "It goes on." };

export class Talk {
  /** @param {string} path of the session @param {AbortSignal} signal */
  constructor(path, signal) {
    this.path = path;
    this.signal = signal;
    this.looks = 0;
    this.waiting = h("div", { class: "waiting", role: "region", "aria-label": "Calls that wait", hidden: true });
    this.words = h("input", { required: true, maxlength: "200000", autocomplete: "off", placeholder: "Say something to it", "aria-label": "Say something to it" });
    this.button = h("button", {}, "Say");
    this.form = h("form", { class: "guide say", hidden: true, onsubmit: this.say }, this.words, this.button);
  }

  /** Shows what there is to decide. @param {import("./sessions.js").Session} session */
  async update(session) {
    this.form.hidden = session.status === "stopping";
    const look = (this.looks += 1);
    const answer = session.approvals ? await attempt(() => call(`${this.path}/approvals?state=waiting`, { signal: this.signal })) : { approvals: [] };
    if (!answer || look !== this.looks) return; // an answer that comes late tells what was
    reconcile(this.waiting, answer.approvals, (/** @type {any} */ one) => one.tool_use_id, (one) => one.asked_at, (one) => this.question(one));
    this.waiting.hidden = !answer.approvals.length;
  }

  /** @param {any} one */
  question(one) {
    const reason = h("input", { maxlength: "4000", autocomplete: "off", placeholder: "Why (it is told)", "aria-label": `Why, for ${one.tool_name}` });
    const decide = (/** @type {Event} */ event, /** @type {boolean} */ approve) =>
      pressed(/** @type {HTMLButtonElement} */ (event.currentTarget), "Saying …", async () => {
        const path = `${this.path}/approvals/${encodeURIComponent(one.tool_use_id)}`;
        const json = { approve, reason: reason.value.trim() || null };
        await call(path, { method: "POST", json });
        notice(approve ? `${one.tool_name} runs.` : `${one.tool_name} does not run.`);
      });
    return h(
      "section",
      { class: "card question", "aria-label": `May ${one.tool_name} run?` },
      h("div", { class: "title" }, h("h3", {}, `May ${one.tool_name} run?`), h("span", { class: "faint" }, "until ", at(one.expires_at))),
      code(written(one.tool_input), "json"),
      h(
        "div",
        { class: "guide" },
        reason,
        h("button", { type: "button", class: "danger", onclick: (/** @type {Event} */ event) => decide(event, false) }, "Deny"),
        h("button", { type: "button", class: "primary", onclick: (/** @type {Event} */ event) => decide(event, true) }, "Allow"),
      ),
    );
  }

  /** @param {Event} event */
  say = (event) => {
    event.preventDefault();
    return pressed(this.button, "Saying …", async () => {
      const told = await call(`${this.path}/messages`, { method: "POST", json: { text: this.words.value } });
      this.words.value = "";
      notice(SAID[/** @type {keyof typeof SAID} */ (told.status)]);
    });
  };
}
