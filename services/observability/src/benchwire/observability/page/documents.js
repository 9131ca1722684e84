/** Documents: found by tag and text, uploaded, and beside the list the one that is open. */

import { askDocuments, documentsSocketUrl, documentsUrl, Problem, query, sentenceOf, token } from "./api.js";
import { attempt, notice } from "./dialogs.js";
import { DocumentView } from "./document.js";
import { fill, h, paced, reconcile, settled } from "./dom.js";
import { count, href, since, size } from "./format.js";
import { Pair } from "./pair.js";
import { LiveSocket } from "./socket.js";
import { marked } from "./text.js";

const PAGE = 50;
const READ_AGAIN_MS = 400;
const MOST_TAGS = 40;
const MOST_ROWS = 1000; // the store sends no more at once

/**
 * @typedef {{id: string, filename: string, content_type: string, size_bytes: number, created_at: string, updated_at: string, tags: string[],
 *   metadata: Record<string, string>, description: string | null, checksum: string, snippet?: string}} Document
 */

/** @type {import("./main.js").Room} */
export function show(visit) {
  const list = new List(visit.signal, () => pair.mark());
  const pair = new Pair(visit, { room: "documents", list: list.element, empty: "Choose a document to see it.", make: (id, place) => new DocumentView(id, place) });
  const socket = new LiveSocket({
    url: () => documentsSocketUrl("/ws"),
    onFrame: (frame) => {
      list.soon();
      pair.open?.hear(frame);
    },
    onState: (state) => state === "live" && list.soon(),
  });
  visit.signal.addEventListener("abort", () => socket.close());
  list.read();
  pair.turn(visit.id);
  return pair.turn;
}

class List {
  /** @param {AbortSignal} signal @param {() => void} onDraw */
  constructor(signal, onDraw) {
    this.signal = signal;
    this.onDraw = onDraw;
    /** @type {Document[]} */
    this.documents = [];
    /** @type {Set<string>} */
    this.tags = new Set();
    this.total = 0;
    this.wanted = PAGE;
    this.soon = paced(() => this.read(), READ_AGAIN_MS);
    this.rows = h("ul", { class: "rows" });
    this.foot = h("p", { class: "faint edge" });
    this.more = h("button", { type: "button", hidden: true, onclick: () => this.readMore() }, "Show more");
    this.text = h("input", { type: "search", placeholder: "Search names and text", "aria-label": "Search names and text", autocomplete: "off", maxlength: "300" });
    this.text.addEventListener("input", settled(() => this.read(), 250));
    this.chips = h("div", { class: "chips", role: "group", "aria-label": "Tags" });
    this.uploads = h("ul", { class: "uploads" });
    this.files = h("input", { type: "file", multiple: true, class: "hidden", tabindex: "-1", "aria-label": "Files to upload", onchange: () => this.upload([...this.files.files]) });
    this.element = h(
      "section",
      { class: "list", "aria-label": "Documents" },
      h("div", { class: "head" }, h("h1", {}, "Documents"), h("button", { type: "button", class: "primary", "data-new": true, title: "Files can also be dropped here; they get the tags that are chosen", onclick: () => this.files.click() }, "Upload"), this.files),
      h("div", { class: "filters" }, this.text),
      this.chips,
      this.uploads,
      h("div", { class: "scroller" }, this.rows, this.foot, this.more),
    );
    this.takeDrops();
  }

  takeDrops() {
    const over = (/** @type {boolean} */ is) => this.element.classList.toggle("over", is);
    this.element.addEventListener("dragover", (/** @type {DragEvent} */ event) => (event.preventDefault(), over(true)));
    this.element.addEventListener("dragleave", () => over(false));
    this.element.addEventListener("drop", (/** @type {DragEvent} */ event) => {
      event.preventDefault();
      over(false);
      this.upload([...(event.dataTransfer?.files ?? [])]);
    });
  }

  async readMore() {
    this.wanted += PAGE;
    await this.read();
  }

  async read() {
    const asked = (this.asked = {});
    const found = await attempt(() => this.found());
    if (!found || asked !== this.asked) return;
    [this.documents, this.total] = found;
    reconcile(this.rows, this.documents, (one) => one.id, (one) => JSON.stringify(one), row);
    this.more.hidden = this.documents.length >= this.total || this.wanted >= MOST_ROWS;
    const narrow = this.wanted >= MOST_ROWS ? "; a tag or a word narrows them" : "";
    this.foot.textContent = this.documents.length ? `${count(this.documents.length)} of ${count(this.total)}${narrow}` : "No document is like that.";
    this.onDraw();
    await this.readTags();
  }

  /** Names are looked through as well as texts: a name's hits come first. @returns {Promise<[Document[], number]>} */
  async found() {
    const tags = [...this.tags].join(",");
    const text = this.text.value.trim();
    const of = async (/** @type {Record<string, string>} */ given) => {
      const answer = await askDocuments(`/documents${query({ ...given, tags, limit: this.wanted })}`, { signal: this.signal });
      const documents = /** @type {Document[]} */ (await answer.json());
      return { documents, total: Number(answer.headers.get("x-total-count") ?? documents.length) };
    };
    if (!text) {
      const all = await of({});
      return [all.documents, all.total];
    }
    const [named, saying] = await Promise.all([of({ filename: text }), of({ q: text })]);
    const both = new Map([...saying.documents, ...named.documents].map((one) => [one.id, one]));
    return [[...both.values()], both.size];
  }

  async readTags() {
    const answer = await attempt(async () => (await askDocuments("/documents/tags", { signal: this.signal })).json());
    if (!answer) return;
    const there = new Map(answer.tags.map((/** @type {any} */ one) => [one.name, one.count]));
    const shown = [...new Set([...this.tags, ...there.keys()])].slice(0, MOST_TAGS);
    fill(this.chips, shown.map((name) =>
      h("button", { type: "button", "aria-pressed": String(this.tags.has(name)), onclick: () => this.toggle(name) }, name, h("span", { class: "faint" }, there.get(name) ?? 0)),
    ));
  }

  /** @param {string} name */
  toggle(name) {
    if (!this.tags.delete(name)) this.tags.add(name);
    this.read();
  }

  /** One after the other; each with its own bar. @param {File[]} files */
  async upload(files) {
    this.files.value = "";
    for (const file of files) {
      const made = await attempt(() => this.sent(file));
      if (made) notice(`${made.filename} is uploaded.`);
    }
    this.soon();
  }

  /** @param {File} file @returns {Promise<Document>} */
  async sent(file) {
    const url = await documentsUrl("/documents");
    const progress = h("progress", { max: file.size || 1, value: "0", "aria-label": `Uploading ${file.name}` });
    const told = h("span", { class: "faint" }, size(file.size));
    const request = new XMLHttpRequest(); // fetch tells nothing of how far an upload is
    const stop = h("button", { type: "button", class: "icon", "aria-label": `Stop uploading ${file.name}`, onclick: () => request.abort() }, "×");
    const shown = h("li", {}, h("div", { class: "title" }, h("strong", {}, file.name), told, stop), progress);
    this.uploads.append(shown);
    const form = new FormData();
    form.set("file", file);
    if (this.tags.size) form.set("tags", [...this.tags].join(","));
    return new Promise((resolve, reject) => {
      request.open("POST", url);
      if (token()) request.setRequestHeader("Authorization", `Bearer ${token()}`);
      request.upload.onprogress = (event) => {
        progress.value = event.loaded;
        told.textContent = `${size(Math.min(event.loaded, file.size))} of ${size(file.size)}`;
      };
      request.onload = () => {
        if (request.status < 300) resolve(JSON.parse(request.responseText));
        else reject(new Problem(request.status, sentenceOf(request.responseText) || `the upload was answered with ${request.status}`));
      };
      request.onerror = () => reject(new Problem(0, `${file.name} could not be sent; is the document store up?`));
      request.onabort = () => reject(new Problem(0, `${file.name} is not uploaded.`));
      request.onloadend = () => shown.remove();
      request.send(form);
    });
  }
}

/** @param {Document} one */
function row(one) {
  return h(
    "li",
    {},
    h(
      "a",
      { href: href("documents", one.id), "data-row": true },
      h("span", { class: "name" }, one.filename),
      h("span", { class: "faint" }, size(one.size_bytes)),
      one.snippet ? h("span", { class: "snippet" }, marked(one.snippet)) : one.description && h("span", { class: "snippet" }, one.description),
      h("span", { class: "faint" }, since(one.created_at), one.tags.length > 0 && ` · ${one.tags.join(", ")}`),
    ),
  );
}
