/** A room of two parts: a list, and beside it the one thing of it that is open. */

import { fill, h } from "./dom.js";
import { href } from "./format.js";

/** @typedef {{close: () => void}} View shows one thing, and leaves nothing behind when it is closed */

/**
 * @template {View} Shown
 */
export class Pair {
  /**
   * @param {import("./main.js").Visit} visit
   * @param {{room: string, list: Element, empty: string, make: (id: string, place: HTMLElement) => Shown}} parts
   */
  constructor({ place, signal }, { room, list, empty, make }) {
    this.place = place;
    this.room = room;
    this.list = list;
    this.empty = empty;
    this.make = make;
    this.side = h("div", { class: "detail" });
    /** @type {Shown | null} */
    this.open = null;
    /** What is open, nothing before the first turn. @type {string | null | undefined} */
    this.id = undefined;
    place.append(list, this.side);
    signal.addEventListener("abort", () => this.open?.close());
  }

  /** Opens one thing, or none. @param {string | null} id */
  turn = (id) => {
    this.place.dataset.open = id ? "detail" : "list";
    if (this.id === id) return;
    this.id = id;
    this.mark();
    this.open?.close();
    this.open = id ? this.make(id, this.side) : null;
    if (!id) fill(this.side, h("p", { class: "empty" }, this.empty));
  };

  /** Marks the row of what is open; to be called when rows were made anew. */
  mark() {
    const here = this.id && href(this.room, this.id);
    for (const link of this.list.querySelectorAll("[data-row]")) {
      if (link.getAttribute("href") === here) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }
}
