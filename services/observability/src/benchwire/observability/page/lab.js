/** The lab: hosts and their boards, what is being flashed, what boards print. */

import { call } from "./api.js";
import { board } from "./board.js";
import { attempt } from "./dialogs.js";
import { fill, h, paced, reconcile } from "./dom.js";
import { since } from "./format.js";
import { FlashBars } from "./flash.js";
import { listen } from "./live.js";
import { Serial } from "./serial.js";

const READ_AGAIN_MS = 300;
const PRESENCE_MS = 10_000;
const OF_BOARDS = /^(device|host|flash)_/;

/** @type {import("./main.js").Room} */
export function show({ place, signal }) {
  const hosts = h("div", { class: "hosts scroller", tabindex: "0", role: "group", "aria-label": "Hosts" });
  const bars = new FlashBars(signal);
  const serial = new Serial(signal);
  place.append(
    h("section", { class: "boards", "aria-labelledby": "boards" }, h("h1", { id: "boards" }, "Lab"), hosts),
    h("section", { class: "flashing", "aria-labelledby": "flashing" }, h("h2", { id: "flashing" }, "Flash jobs"), bars.element),
    h("section", { class: "serial", "aria-labelledby": "serial" }, h("h2", { id: "serial" }, "Serial output"), serial.element),
  );

  const read = async () => {
    const both = await attempt(() => Promise.all([call("api/hosts", { signal }), call("api/devices", { signal })]));
    if (!both) return;
    const [{ hosts: machines }, { devices }] = both;
    serial.know(devices);
    const shown = machines.map((/** @type {any} */ one) => ({ ...one, devices: devices.filter((/** @type {any} */ board) => board.host === one.host) }));
    reconcile(hosts, shown, (one) => one.host, (one) => JSON.stringify(one), machine);
    if (!shown.length) fill(hosts, h("p", { class: "empty", "data-key": "" }, "No host here yet. A host joins when its flash agent starts: benchwire-flash-agent."));
  };
  const soon = paced(read, READ_AGAIN_MS);
  listen((frame) => (frame.type === "init" || (frame.type === "fact" && OF_BOARDS.test(frame.data.event_type))) && soon(), signal);
  // That a host is silently gone is in no fact.
  const looking = setInterval(soon, PRESENCE_MS);
  signal.addEventListener("abort", () => clearInterval(looking));
  read();
}

/** @param {any} one */
function machine(one) {
  return h(
    "section",
    { class: "host", "aria-label": `Host ${one.host}` },
    h(
      "div",
      { class: "title" },
      h("span", { class: `dot ${one.up ? "done" : "failed"}`, "aria-hidden": "true" }),
      h("h2", {}, one.host),
      h("span", { class: "faint" }, one.up ? "up since " : "gone; last started ", since(one.since), one.version ? ` · ${one.version}` : ""),
    ),
    one.devices.length ? h("ul", { class: "devices" }, one.devices.map(board)) : h("p", { class: "faint" }, "No board is plugged in."),
  );
}
