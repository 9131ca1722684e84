/** A board of a host: what it is, how it is, who has it; leased and given back with a click. */

import { call } from "./api.js";
import { attempt, confirmed, dialog, notice, pressed } from "./dialogs.js";
import { h } from "./dom.js";
import { clock } from "./format.js";

const STATE_WORDS = { available: "idle", busy: "flashing", leased: "leased", offline: "offline" };
const HOLDER_KEPT_AS = "benchwire-holder";

/** @param {any} one */
export function board(one) {
  const word = STATE_WORDS[/** @type {keyof typeof STATE_WORDS} */ (one.state)] ?? one.state;
  const labels = Object.entries(one.labels).map(([name, value]) => `${name}=${value}`).join(" · ");
  return h(
    "li",
    { class: `card device ${one.state}` },
    h("div", { class: "title" }, h("strong", {}, one.device_id), h("span", { class: `badge ${one.state}` }, word)),
    h("span", {}, one.board_type ?? "an unknown board", one.virtual && h("span", { class: "faint" }, " · virtual")),
    h("span", { class: "faint" }, [one.chip_name !== one.board_type && one.chip_name, one.driver, one.port].filter(Boolean).join(" · ")),
    labels && h("span", { class: "faint" }, labels),
    one.problem && h("span", { class: "wrong" }, one.problem),
    one.needs_flash && h("span", { class: "wrong" }, "A job broke off here; flash it again."),
    one.lease && h("span", { class: "faint" }, "held by ", holder(one.lease.holder), ` until ${clock(one.lease.expires_at)}`),
    hand(one),
  );
}

/** A task's node holds a board under `task/node`. @param {string} name */
function holder(name) {
  const task = name.split("/")[0];
  return task.startsWith("task-") ? h("a", { href: `#/tasks/${encodeURIComponent(task)}` }, name) : name;
}

/** What can be done about who has it. @param {any} one */
function hand(one) {
  if (one.lease) return button("Release", `Release ${one.device_id} of ${one.host}`, () => released(one));
  return one.state === "available" && button("Lease", `Lease ${one.device_id} of ${one.host}`, () => leased(one));
}

/** @param {string} label @param {string} name @param {() => Promise<void>} run */
function button(label, name, run) {
  return h("div", { class: "foot" }, h("button", {
    type: "button",
    "aria-label": name,
    onclick: (/** @type {Event} */ event) => pressed(/** @type {HTMLButtonElement} */ (event.currentTarget), `${label} …`, run),
  }, label));
}

/** @param {any} one */
async function leased(one) {
  const who = h("input", { name: "holder", required: true, maxlength: "256", autocomplete: "off", value: localStorage.getItem(HOLDER_KEPT_AS) ?? "", autofocus: true });
  const minutes = h("input", { name: "minutes", type: "number", min: "1", max: "10080", value: "60" });
  const body = [
    h("p", {}, `Nobody else can flash ${one.device_id}, or write to it, while you have it.`),
    h("label", { class: "field" }, h("span", {}, "Your name"), who),
    h("label", { class: "field" }, h("span", {}, "Minutes"), minutes),
  ];
  const buttons = [{ name: "no", label: "Cancel", skips: true }, { name: "yes", label: "Lease", kind: "primary" }];
  if ((await dialog(`Lease ${one.device_id}`, body, buttons)) !== "yes") return;
  localStorage.setItem(HOLDER_KEPT_AS, who.value);
  const json = { holder: who.value, device_id: one.device_id, host: one.host, for_s: 60 * Number(minutes.value) };
  const made = await attempt(() => call("api/leases", { method: "POST", json }));
  if (made) notice(`${one.device_id} is yours until ${clock(made.lease.expires_at)}. Its lease_id is ${made.lease.lease_id}`);
}

/** @param {any} one */
async function released(one) {
  const text = `${one.device_id} is held by ${one.lease.holder}. Whoever waits for it gets it next.`;
  if (!(await confirmed(`Release ${one.device_id}?`, text, "Release"))) return;
  await call(`api/leases/${encodeURIComponent(one.lease.lease_id)}`, { method: "DELETE" });
}
