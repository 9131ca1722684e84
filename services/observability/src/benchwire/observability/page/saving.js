/** Saving what came from a service as a file of the person's own. */

import { h } from "./dom.js";

const KEPT_MS = 60_000;

/** Offers `bytes` under `name`; as plain bytes, for a browser that is handed a page would show it. @param {Blob} bytes @param {string} name */
export function save(bytes, name) {
  const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
}
