/** Calls to the two services: the token, and errors as sentences. */

import { askForToken } from "./dialogs.js";

const KEPT_AS = "benchwire-token";

/** What a service said when it did not do what it was asked; `status` is 0 when it could not be reached. */
export class Problem extends Error {
  /** @param {number} status @param {string} detail */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** @typedef {{documents_url: string, version: string}} PageSettings */
/** @typedef {{method?: string, json?: any, body?: BodyInit, signal?: AbortSignal, headers?: Record<string, string>}} Asked */

/** @type {Promise<PageSettings> | null} */
let settings = null;
/** @type {Promise<void> | null} */
let asking = null;

/** The token that was given, for as long as this tab is open. */
export const token = () => sessionStorage.getItem(KEPT_AS) ?? "";

/** What this page was told about where things are. */
export function pageSettings() {
  settings ??= ask("page/settings.json", {}).then((answer) => answer.json());
  settings.catch(() => (settings = null));
  return settings;
}

/** Where a WebSocket of observability is, with the token. @param {string} path */
export function socketUrl(path) {
  return withToken(new URL(path, document.baseURI));
}

/** The same of the document store. @param {string} path */
export async function documentsSocketUrl(path) {
  return withToken(new URL((await pageSettings()).documents_url + path));
}

/** @param {URL} url */
function withToken(url) {
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  if (token()) url.searchParams.set("token", token());
  return url.href;
}

/** Asks observability, and returns the JSON of its answer. Throws `Problem`. @param {string} path @param {Asked} [asked] */
export async function call(path, asked = {}) {
  const answer = await ask(path, asked);
  return answer.status === 204 ? null : answer.json();
}

/** The address of something in the document store. @param {string} path */
export async function documentsUrl(path) {
  return (await pageSettings()).documents_url + path;
}

/** Asks the document store. Throws `Problem`. @param {string} path @param {Asked} [asked] @returns {Promise<Response>} */
export async function askDocuments(path, asked = {}) {
  return ask(await documentsUrl(path), asked);
}

/** One call, repeated when a token was missing and was given meanwhile. @param {string} url @param {Asked} asked */
export async function ask(url, asked) {
  for (;;) {
    const sent = token();
    const answer = await send(url, asked);
    if (answer.ok) return answer;
    const problem = await problemOf(answer);
    if (answer.status !== 401) throw problem;
    if (token() === sent) await newToken(sent ? "That token is not the right one." : "");
  }
}

/** Asks for a token, once, however many calls want one. @param {string} why */
function newToken(why) {
  asking ??= askForToken(why)
    .then((given) => sessionStorage.setItem(KEPT_AS, given))
    .finally(() => (asking = null));
  return asking;
}

/** @param {string} url @param {Asked} asked */
async function send(url, { method = "GET", json, body, signal, headers = {} }) {
  const told = new Headers(headers);
  if (token()) told.set("Authorization", `Bearer ${token()}`);
  if (json !== undefined) told.set("Content-Type", "application/json");
  const whole = json === undefined ? body : JSON.stringify(json);
  try {
    return await fetch(url, { method, headers: told, body: whole, signal, credentials: "omit" });
  } catch (error) {
    if (/** @type {Error} */ (error).name === "AbortError") throw error;
    throw new Problem(0, `${new URL(url, document.baseURI).origin} cannot be reached; is the service up?`);
  }
}

/** @param {Response} answer */
async function problemOf(answer) {
  const text = await answer.text().catch(() => "");
  return new Problem(answer.status, sentenceOf(text) || `the service answered ${answer.status}`);
}

/** The sentence in the body of an error. @param {string} text */
export function sentenceOf(text) {
  try {
    const detail = JSON.parse(text).detail;
    return typeof detail === "string" ? detail : "";
  } catch {
    return "";
  }
}

/** A query from what is given; what is empty is left out. @param {Record<string, string | number | null | undefined>} given */
export function query(given) {
  const kept = Object.entries(given).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return kept.length ? `?${new URLSearchParams(kept.map(([name, value]) => [name, String(value)]))}` : "";
}
