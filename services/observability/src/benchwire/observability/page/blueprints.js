/** Blueprints: recipes for agents, listed and edited. */

import { call } from "./api.js";
import { attempt, confirmed, notice } from "./dialogs.js";
import { fill, h, paced, reconcile } from "./dom.js";
import { badge, href } from "./format.js";
import { listen } from "./live.js";
import { Pair } from "./pair.js";

const READ_AGAIN_MS = 300;

/** @type {import("./main.js").Room} */
export function show(visit) {
  const rows = h("ul", { class: "rows" });
  const foot = h("p", { class: "faint edge" });
  const list = h(
    "section",
    { class: "list", "aria-label": "Blueprints" },
    h("div", { class: "head" }, h("h1", {}, "Blueprints"), h("a", { class: "button primary", "data-new": true, href: "#/blueprints/+" }, "New blueprint")),
    h("div", { class: "scroller" }, rows, foot),
  );
  const make = (/** @type {string} */ id, /** @type {HTMLElement} */ place) => new BlueprintView(id, place, read);
  const pair = new Pair(visit, { room: "blueprints", list, empty: "Choose a blueprint to change it.", make });

  const read = async () => {
    const found = await attempt(() => call("agents", { signal: visit.signal }));
    if (!found) return;
    reconcile(rows, found, (/** @type {any} */ one) => one.name, (one) => JSON.stringify(one), row);
    foot.textContent = found.length ? "" : "No blueprint here yet. A session that names one is led by its system prompt.";
    pair.mark();
  };
  const soon = paced(read, READ_AGAIN_MS);
  listen((frame) => (frame.type === "init" || (frame.type === "fact" && frame.data.event_type.startsWith("blueprint_"))) && soon(), visit.signal);
  read();
  pair.turn(visit.id);
  return pair.turn;
}

class BlueprintView {
  /** @param {string} name `+` for a new one @param {HTMLElement} place @param {() => void} done */
  constructor(name, place, done) {
    this.leaving = new AbortController();
    fill(place);
    this.show(name, place, done);
  }

  /** Leaves nothing behind. */
  close() {
    this.leaving.abort();
  }

  /** @param {string} name @param {HTMLElement} place @param {() => void} done */
  async show(name, place, done) {
    const found = name === "+" ? {} : await attempt(() => call(`agents/${encodeURIComponent(name)}`, { signal: this.leaving.signal }));
    if (found && !this.leaving.signal.aborted) fill(place, editor(found, done));
  }
}

/** @param {any} one */
function row(one) {
  return h(
    "li",
    {},
    h("a", { href: href("blueprints", one.name), "data-row": true }, h("span", { class: "name" }, one.name), badge(one.status), h("span", { class: "snippet" }, one.description)),
  );
}

/** @param {any} one what there is, empty for a new one @param {() => void} done */
function editor(one, done) {
  const is_new = one.name === undefined;
  const name = h("input", { value: one.name ?? "", required: true, pattern: "[a-z0-9\\-]+", disabled: !is_new, placeholder: "lower case, digits and hyphens" });
  const description = h("input", { value: one.description ?? "" });
  const prompt = h("textarea", { rows: "12", value: one.system_prompt ?? "" });
  const tags = h("input", { value: (one.tags ?? []).join(", ") });
  const active = h("input", { type: "checkbox", checked: (one.status ?? "active") === "active" });
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const json = { description: description.value, system_prompt: prompt.value || null, tags: tags.value.split(",").map((/** @type {string} */ tag) => tag.trim()).filter(Boolean) };
    const status = active.checked ? "active" : "inactive";
    const saved = await attempt(async () => {
      const path = `agents/${encodeURIComponent(name.value)}`;
      const answer = await (is_new ? call("agents", { method: "POST", json: { name: name.value, ...json } }) : call(path, { method: "PATCH", json }));
      return answer.status === status ? answer : call(`${path}/status`, { method: "PATCH", json: { status } });
    });
    if (!saved) return;
    notice("Saved.");
    done();
    location.hash = href("blueprints", saved.name);
  };
  const remove = async () => {
    if (!(await confirmed("Delete this blueprint?", `“${one.name}” will be gone; sessions that were started from it stay.`, "Delete"))) return;
    await attempt(async () => {
      await call(`agents/${encodeURIComponent(one.name)}`, { method: "DELETE" });
      done();
      location.hash = "#/blueprints";
    });
  };
  return [
    h("header", { class: "head" }, h("div", { class: "title" }, h("a", { class: "back", href: "#/blueprints", "data-back": true, "aria-label": "Back to the list" }, "‹"), h("h2", {}, is_new ? "New blueprint" : one.name), one.status && badge(one.status))),
    h(
      "div",
      { class: "scroller" },
      h(
        "form",
        { class: "card about", onsubmit: save },
        h("label", { class: "field" }, h("span", {}, "Name"), name),
        h("label", { class: "field" }, h("span", {}, "Description"), description),
        h("label", { class: "field" }, h("span", {}, "System prompt"), prompt),
        h("label", { class: "field" }, h("span", {}, "Tags"), tags),
        h("label", { class: "check" }, active, h("span", {}, "active")),
        h("div", { class: "buttons" }, !is_new && h("button", { type: "button", class: "danger quiet", onclick: remove }, "Delete"), h("button", { class: "primary" }, "Save")),
      ),
    ),
  ];
}
