/** What boards print: a console for the board that is chosen, and a count of unread lines for the others. */

import { socketUrl } from "./api.js";
import { fill, h, paced } from "./dom.js";
import { clock } from "./format.js";
import { LiveSocket } from "./socket.js";

const MOST_LINES = 1000;
const MOST_UNREAD = 999;
const DRAW_MS = 80;
const AT_END_PX = 30;

/** @typedef {{number: number, line: string, timestamp: number}} Line */
/** @typedef {{name: string, lines: Line[], unread: number}} Console */

export class Serial {
  /** @param {AbortSignal} signal */
  constructor(signal) {
    /** @type {Map<string, Console>} */
    this.consoles = new Map();
    /** @type {Console | null} */
    this.open = null;
    this.paused = false;
    this.following = true;
    /** Lines of the open console that are not drawn yet. @type {Line[]} */
    this.fresh = [];
    this.tabs = h("div", { class: "tabs", role: "group", "aria-label": "Boards" });
    this.screen = h("ol", { class: "console lines", tabindex: "0", role: "region", "aria-label": "Serial output" });
    this.pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => this.toggle() }, "Pause");
    this.clear = h("button", { type: "button", onclick: () => this.wipe() }, "Clear");
    this.end = h("button", { type: "button", class: "jump", hidden: true, onclick: () => this.toEnd() }, "To the end ↓");
    this.screen.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.element = h("div", { class: "screen" }, h("div", { class: "bar" }, this.tabs, this.pause, this.clear), h("div", { class: "timeline" }, this.screen, this.end));
    this.soon = paced(() => this.draw(), DRAW_MS);
    const socket = new LiveSocket({ url: () => socketUrl("ws/serial"), onFrame: (frame) => this.hear(frame) });
    signal.addEventListener("abort", () => socket.close());
    this.drawTabs();
  }

  /** Names the boards, so that one can be chosen before it prints. @param {any[]} devices */
  know(devices) {
    for (const one of devices) this.of(`${one.host}/${one.device_id}`);
    this.drawTabs();
  }

  /** @param {string} name @returns {Console} */
  of(name) {
    let found = this.consoles.get(name);
    if (!found) {
      found = { name, lines: [], unread: 0 };
      this.consoles.set(name, found);
      this.open ??= found;
    }
    return found;
  }

  /** @param {any} frame */
  hear(frame) {
    if (frame.type !== "serial_line") return;
    const console = this.of(`${frame.host}/${frame.deviceId}`);
    const line = { number: frame.number, line: frame.line, timestamp: frame.timestamp };
    console.lines.push(line);
    if (console.lines.length > MOST_LINES) console.lines.shift();
    if (console !== this.open) console.unread += 1;
    else if (this.fresh.push(line) > MOST_LINES) this.fresh.shift();
    this.soon();
  }

  draw() {
    this.drawTabs();
    if (this.paused) return;
    this.screen.append(...this.fresh.splice(0).map(shown));
    if (!this.following) {
      // What one reads is not cut away; so that it does not grow for ever, it pauses by itself.
      if (this.screen.childElementCount > 4 * MOST_LINES) this.toggle();
      return;
    }
    while (this.screen.childElementCount > MOST_LINES) this.screen.firstElementChild?.remove();
    this.screen.scrollTop = this.screen.scrollHeight;
  }

  drawTabs() {
    const names = [...this.consoles.values()].sort((a, b) => a.name.localeCompare(b.name));
    const focused = document.activeElement;
    const had = focused && this.tabs.contains(focused) ? focused.getAttribute("data-name") : null;
    fill(
      this.tabs,
      names.map((one) =>
        h(
          "button",
          { type: "button", "data-name": one.name, "aria-pressed": String(one === this.open), onclick: () => this.choose(one) },
          one.name,
          one.unread > 0 && h("span", { class: "unread", "aria-label": "unread lines" }, Math.min(one.unread, MOST_UNREAD)),
        ),
      ),
    );
    if (had) this.tabs.querySelector(`[data-name="${CSS.escape(had)}"]`)?.focus();
    if (!names.length) fill(this.tabs, h("span", { class: "faint" }, "No board has said anything yet."));
  }

  /** @param {Console} one */
  choose(one) {
    this.open = one;
    one.unread = 0;
    this.fresh = [];
    this.following = true;
    fill(this.screen, one.lines.map(shown));
    this.drawTabs();
    this.toEnd();
  }

  toggle() {
    this.paused = !this.paused;
    this.pause.setAttribute("aria-pressed", String(this.paused));
    this.pause.textContent = this.paused ? "Go on" : "Pause";
    if (!this.paused) this.draw();
  }

  wipe() {
    if (this.open) this.open.lines = [];
    this.fresh = [];
    fill(this.screen);
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.screen;
    this.following = scrollHeight - clientHeight - scrollTop < AT_END_PX;
    this.end.hidden = this.following;
  }

  toEnd() {
    this.following = true;
    this.end.hidden = true;
    this.draw();
    this.screen.scrollTop = this.screen.scrollHeight;
  }
}

/** @param {Line} one */
function shown(one) {
  return h("li", {}, h("span", { class: "faint" }, clock(one.timestamp)), h("code", {}, one.line));
}
