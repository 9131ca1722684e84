/** What came of the flash jobs of the last weeks: by board, and the last ones to end. */

import { call } from "./api.js";
import { attempt } from "./dialogs.js";
import { fill, h } from "./dom.js";
import { badge, count, duration, since, size } from "./format.js";

const SHOWN = 20;

export class Flashed {
  /** @param {AbortSignal} signal */
  constructor(signal) {
    this.signal = signal;
    this.told = h("div", { class: "wide" });
    this.element = h("details", { class: "flashed", ontoggle: () => this.read() }, h("summary", {}, "How it went"), this.told);
  }

  async read() {
    if (!this.element.open) return;
    const { signal } = this;
    const both = await attempt(() =>
      Promise.all([call("api/flash/analytics?by=device", { signal }), call(`api/flash/history?limit=${SHOWN}`, { signal })]),
    );
    if (!both) return;
    const [learned, { history }] = both;
    if (!history.length) fill(this.told, h("p", { class: "faint" }, "No job has ended yet."));
    else fill(this.told, learned.total.jobs > 0 && numbers(learned), past(history));
  }
}

/** @param {any} learned */
function numbers({ groups, total }) {
  const heads = ["Board, last 30 days", "Jobs", "Went well", "Half within", "90 % within", "Speed", "What failed"];
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, heads.map((one) => h("th", { scope: "col" }, one)))),
    h("tbody", {}, groups.map((/** @type {any} */ one) => row(one.key, one))),
    groups.length > 1 && h("tfoot", {}, row("All", total)),
  );
}

/** @param {string} name @param {any} one */
function row(name, one) {
  const failures = Object.entries(one.errors).map(([code, times]) => `${code || "unknown"} ${times}×`).join(", ");
  const cells = [
    count(one.jobs),
    one.success_rate === null ? "–" : `${(100 * one.success_rate).toFixed(one.success_rate === 1 ? 0 : 1)} %`,
    one.duration_s ? duration(one.duration_s.p50) : "–",
    one.duration_s ? duration(one.duration_s.p90) : "–",
    one.speed_bytes_per_s ? `${size(Math.round(one.speed_bytes_per_s.p50))}/s` : "–",
    failures || "–",
  ];
  return h("tr", {}, h("th", { scope: "row" }, name), cells.map((text) => h("td", {}, text)));
}

/** @param {any[]} history */
function past(history) {
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, ["Last ended", "Board", "Firmware", "How", "When"].map((one) => h("th", { scope: "col" }, one)))),
    h("tbody", {}, history.map((one) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, one.jobId),
        h("td", {}, `${one.host}/${one.deviceId}`),
        h("td", {}, one.firmware.name ?? "–"),
        h("td", {}, badge(one.status), one.error && h("span", { class: "faint" }, ` ${one.error}`)),
        h("td", {}, since(one.endedAt)),
      ),
    )),
  );
}
