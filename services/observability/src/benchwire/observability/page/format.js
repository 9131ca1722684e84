/** Times, sizes, counts and states as people read them, and where things are shown. */

import { h } from "./dom.js";

const COUNT = new Intl.NumberFormat("en");
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** @param {number} value */
export const count = (value) => COUNT.format(value);

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = -1;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${Number.isInteger(seconds) ? seconds : seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** @param {string | number} moment */
export const clock = (moment) => CLOCK.format(new Date(moment));

/** @param {Date} moment */
function ago(moment) {
  const seconds = (Date.now() - moment.getTime()) / 1000;
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  if (seconds < 7 * 86400) return `${Math.floor(seconds / 86400)} d ago`;
  return DAY.format(moment);
}

/** How long ago something was; kept up to date by `tick`. @param {string | number} moment */
export function since(moment) {
  const date = new Date(moment);
  if (Number.isNaN(date.getTime())) return h("span", {}, String(moment));
  return h("time", { datetime: date.toISOString(), title: FULL.format(date), "data-ago": true }, ago(date));
}

/** The time of day. @param {string} moment */
export function at(moment) {
  const date = new Date(moment);
  if (Number.isNaN(date.getTime())) return h("span", {}, String(moment));
  return h("time", { datetime: date.toISOString(), title: FULL.format(date) }, CLOCK.format(date));
}

/** Brings everything that `since` made up to date. */
export function tick() {
  for (const element of document.querySelectorAll("time[data-ago]")) {
    element.textContent = ago(new Date(element.getAttribute("datetime") ?? ""));
  }
}

/** @param {string} status */
export const badge = (status) => h("span", { class: `badge ${status}` }, status.replaceAll("_", " "));

/** Where one thing is shown. @param {string} room @param {string} id */
export const href = (room, id) => `#/${room}/${encodeURIComponent(id)}`;
