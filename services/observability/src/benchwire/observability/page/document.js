/** One document: what is in it, as text or picture and never as a page; its tags and description. */

import { askDocuments } from "./api.js";
import { attempt, confirmed, notice } from "./dialogs.js";
import { fill, h } from "./dom.js";
import { since, size } from "./format.js";
import { save } from "./saving.js";
import { code } from "./text.js";

const MOST_CHARS = 100_000;
const MOST_IMAGE_BYTES = 32 << 20;
const IMAGES = /^image\/(png|jpeg|gif|webp|avif|bmp)$/;
const TEXTS = /^(text\/.*|application\/(.*\+)?(json|xml|yaml|x-yaml|toml|javascript|x-sh|x-ndjson|sql))$/;

export class DocumentView {
  /** @param {string} id @param {HTMLElement} place */
  constructor(id, place) {
    this.id = id;
    this.path = `/documents/${encodeURIComponent(id)}`;
    this.leaving = new AbortController();
    /** @type {import("./documents.js").Document | null} */
    this.document = null;
    /** @type {string[]} */
    this.urls = [];
    this.head = h("header", { class: "head" });
    this.about = h("div", {});
    this.preview = h("div", { class: "preview" });
    fill(place, this.head, h("div", { class: "scroller" }, this.about, this.preview));
    this.read();
  }

  /** Leaves nothing behind. */
  close() {
    this.leaving.abort();
    for (const url of this.urls) URL.revokeObjectURL(url);
  }

  /** @param {any} frame */
  hear(frame) {
    if (frame.type === "document_updated" && frame.document.id === this.id) this.take(frame.document);
    else if (frame.type === "document_deleted" && frame.document_id === this.id) {
      notice("The document was deleted.");
      location.hash = "#/documents";
    }
  }

  async read() {
    const found = await attempt(async () => (await askDocuments(`${this.path}/metadata`, { signal: this.leaving.signal })).json());
    if (!found) return;
    this.take(found);
    await attempt(() => this.show());
  }

  /** @param {import("./documents.js").Document} one */
  take(one) {
    this.document = one;
    fill(
      this.head,
      h("div", { class: "title" }, h("a", { class: "back", href: "#/documents", "data-back": true, "aria-label": "Back to the list" }, "‹"), h("h2", {}, one.filename)),
      h("div", { class: "facts" }, h("code", {}, one.id), h("span", {}, one.content_type), h("span", {}, size(one.size_bytes)), h("span", {}, "uploaded ", since(one.created_at))),
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", onclick: () => attempt(() => this.download()) }, "Download"),
        h("button", { type: "button", class: "danger quiet", onclick: () => this.remove() }, "Delete"),
      ),
    );
    if (!this.about.contains(document.activeElement)) fill(this.about, this.form(one)); // not under somebody's hands
  }

  /** @param {import("./documents.js").Document} one */
  form(one) {
    const tags = h("input", { value: one.tags.join(", "), placeholder: "letters, digits and hyphens, with commas between", autocomplete: "off" });
    const description = h("textarea", { rows: "2", value: one.description ?? "" });
    const save = async (/** @type {Event} */ event) => {
      event.preventDefault();
      const json = { tags: tags.value.split(",").map((/** @type {string} */ tag) => tag.trim()).filter(Boolean), description: description.value };
      const answer = await attempt(async () => (await askDocuments(this.path, { method: "PATCH", json })).json());
      if (!answer) return;
      notice("Saved.");
      this.take(answer);
    };
    return h(
      "form",
      { class: "card about", onsubmit: save },
      h("label", { class: "field" }, h("span", {}, "Tags"), tags),
      h("label", { class: "field" }, h("span", {}, "Description"), description),
      h("div", { class: "buttons" }, h("button", {}, "Save")),
    );
  }

  async show() {
    const one = /** @type {import("./documents.js").Document} */ (this.document);
    const kind = one.content_type.split(";")[0].trim().toLowerCase();
    const signal = this.leaving.signal;
    if (IMAGES.test(kind) && one.size_bytes <= MOST_IMAGE_BYTES) {
      const bytes = await (await askDocuments(this.path, { signal })).arrayBuffer();
      fill(this.preview, h("img", { src: this.urlOf(new Blob([bytes], { type: kind })), alt: one.filename }));
    } else if (TEXTS.test(kind)) {
      const answer = await askDocuments(`${this.path}?offset=0&limit=${MOST_CHARS}`, { signal });
      const total = Number(answer.headers.get("x-total-chars") ?? 0);
      fill(this.preview, code(await answer.text()), total > MOST_CHARS && h("p", { class: "faint" }, `The first ${MOST_CHARS} of ${total} characters; Download has them all.`));
    } else {
      fill(this.preview, h("p", { class: "empty" }, "There is no preview of this kind of document."));
    }
  }

  /** @param {Blob} blob */
  urlOf(blob) {
    const url = URL.createObjectURL(blob);
    this.urls.push(url);
    return url;
  }

  async download() {
    const one = /** @type {import("./documents.js").Document} */ (this.document);
    save(await (await askDocuments(this.path)).blob(), one.filename);
  }

  async remove() {
    const name = this.document?.filename ?? this.id;
    if (await confirmed("Delete this document?", `“${name}” will be gone for everybody.`, "Delete")) {
      await attempt(() => askDocuments(this.path, { method: "DELETE" }));
    }
  }
}
