/**
 * What happened in one session: the newest first on screen, older pages as one scrolls up. However long the session, the page holds a
 * window of `MOST` events; what is outside of it is read again when one comes there.
 */

import { call, query } from "./api.js";
import { element } from "./blocks.js";
import { attempt } from "./dialogs.js";
import { fill, h, paced, reconcile } from "./dom.js";
import { fold } from "./fold.js";

const PAGE = 100;
const MOST = 400;
const LIVE_MS = 60;
const NEAR_PX = 600;
const AT_END_PX = 40;
const AFTER_ALL = Number.MAX_SAFE_INTEGER;

export class Timeline {
  /** @param {string} session_id @param {AbortSignal} signal */
  constructor(session_id, signal) {
    this.path = `sessions/${encodeURIComponent(session_id)}/events`;
    this.signal = signal;
    /** @type {import("./fold.js").Event[]} */
    this.events = [];
    /** @type {import("./fold.js").Event[]} */
    this.coming = [];
    this.has_older = true;
    this.has_newer = false;
    this.busy = false;
    /** Counts how often the window began anew: what was asked for before belongs to another one. */
    this.begun = 0;
    this.following = true;
    this.missed = 0;
    this.list = h("ol", { class: "items" });
    this.older = h("p", { class: "faint edge", hidden: true }, "reading what was before …");
    this.jump = h("button", { type: "button", class: "jump", hidden: true, onclick: () => this.toEnd() });
    this.scroller = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Timeline" }, this.older, this.list);
    this.scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.list.addEventListener("click", (/** @type {Event} */ event) => this.folded(event));
    this.element = h("div", { class: "timeline" }, this.scroller, this.jump);
    this.shown = paced(() => this.takeComing(), LIVE_MS);
    // Folds and late fonts change heights: who is at the end stays there.
    const resized = new ResizeObserver(() => this.following && this.stick());
    resized.observe(this.list);
    signal.addEventListener("abort", () => resized.disconnect());
    this.begin();
  }

  /** What somebody opens is to be read, so it is not scrolled away. @param {Event} event */
  folded(event) {
    if (!(/** @type {Element} */ (event.target).closest("summary"))) return;
    this.following = false;
    requestAnimationFrame(() => this.scrolled());
  }

  /** Reads the newest page. */
  async begin() {
    this.begun += 1;
    const page = await this.read({ before: AFTER_ALL });
    if (!page) return;
    this.has_older = page.length === PAGE;
    this.has_newer = false;
    this.missed = 0;
    const newest = page.at(-1)?.id ?? 0;
    this.events = [...page, ...this.coming.filter((event) => event.id > newest)];
    this.coming = [];
    this.following = true;
    this.draw();
    this.scrolled();
  }

  /** Takes an event that just happened. @param {import("./fold.js").Event} event */
  add(event) {
    this.coming.push(event);
    if (this.coming.length > MOST) this.coming.splice(0, this.coming.length - MOST);
    this.shown();
  }

  takeComing() {
    if (this.signal.aborted) return;
    if (this.busy) return this.shown();
    const newest = this.events.at(-1)?.id ?? 0;
    const fresh = this.coming.filter((event) => event.id > newest);
    this.coming = [];
    if (!fresh.length) return;
    if (!this.following) this.missed += fresh.length;
    if (this.has_newer || fresh.length === MOST) {
      this.has_newer = true; // what is between is read when one comes there
      return this.following ? void this.begin() : this.tell();
    }
    this.events.push(...fresh);
    if (this.following) this.cutOld();
    else if (this.events.length > 2 * MOST) this.cutNew();
    this.draw();
  }

  cutOld() {
    if (this.events.length <= MOST) return;
    this.events.splice(0, this.events.length - MOST);
    this.has_older = true;
  }

  cutNew() {
    this.events.length = MOST;
    this.has_newer = true;
  }

  /** @param {{before?: number, after?: number}} where @returns {Promise<import("./fold.js").Event[] | undefined>} */
  async read(where) {
    const begun = this.begun;
    this.busy = true;
    const answer = await attempt(() => call(this.path + query({ ...where, limit: PAGE }), { signal: this.signal }));
    if (begun !== this.begun) return undefined;
    this.busy = false;
    return answer?.events;
  }

  async scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const below = scrollHeight - clientHeight - scrollTop;
    this.following = below < AT_END_PX && !this.has_newer;
    if (this.following) this.missed = 0;
    this.tell();
    if (this.busy) return;
    if (this.has_older && scrollTop < NEAR_PX && this.events.length) await this.readOlder();
    else if (this.has_newer && below < NEAR_PX) await this.readNewer();
  }

  async readOlder() {
    this.older.hidden = false;
    const page = await this.read({ before: this.events[0].id });
    this.older.hidden = true;
    if (!page) return;
    this.has_older = page.length === PAGE;
    this.events.unshift(...page);
    if (!this.following && this.events.length > MOST) this.cutNew();
    this.draw();
  }

  async readNewer() {
    const page = await this.read({ after: this.events.at(-1)?.id ?? 0 });
    if (!page) return;
    this.has_newer = page.length === PAGE;
    this.events.push(...page);
    this.cutOld();
    this.draw();
    this.shown();
  }

  toEnd() {
    this.following = true;
    if (this.has_newer) this.begin();
    else this.stick();
  }

  /** Shows the window; what one looks at stays where it is. */
  draw() {
    const anchor = this.following ? null : this.anchor();
    reconcile(this.list, fold(this.events), (item) => item.key, (item) => item.version, element);
    if (!this.events.length) fill(this.list, h("li", { class: "empty", "data-key": "" }, "Nothing was said yet."));
    if (this.following) this.stick();
    else if (anchor?.element.isConnected) this.scroller.scrollTop += anchor.element.getBoundingClientRect().top - anchor.top;
    this.tell();
  }

  /** The first item that can be seen, and where. */
  anchor() {
    const top = this.scroller.getBoundingClientRect().top;
    const element = [...this.list.children].find((child) => child.getBoundingClientRect().bottom > top);
    return element ? { element, top: element.getBoundingClientRect().top } : null;
  }

  stick() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  tell() {
    this.jump.hidden = this.following;
    this.jump.textContent = this.missed ? `${this.missed} new ↓` : "To the end ↓";
  }
}
