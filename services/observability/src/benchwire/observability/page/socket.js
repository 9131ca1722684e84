/** A WebSocket that comes back by itself, after 1 to 30 seconds. */

import { call } from "./api.js";

const FIRST_MS = 1000;
const MOST_MS = 30_000;
const PING_MS = 25_000;
const SILENT_MS = 60_000;
const REFUSED = 1008;
const NOT_THERE = 4404;

/**
 * @typedef {"connecting" | "live" | "waiting" | "closed"} State
 * @typedef {{
 *   url: () => string | Promise<string>,
 *   onFrame: (frame: any) => void,
 *   onState?: (state: State, wait_ms: number) => void,
 * }} Wanted
 */

export class LiveSocket {
  /** @param {Wanted} wanted `url` is asked for at each attempt, so that it can name the place to go on from */
  constructor(wanted) {
    this.wanted = wanted;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.closed = false;
    this.failures = 0;
    this.heard_at = 0;
    this.timer = 0;
    this.pinging = window.setInterval(() => this.ping(), PING_MS);
    this.again = () => this.state === "waiting" && this.open();
    window.addEventListener("online", this.again);
    /** @type {State} */
    this.state = "connecting";
    this.open();
  }

  /** Ends it for good. */
  close() {
    this.closed = true;
    clearTimeout(this.timer);
    clearInterval(this.pinging);
    window.removeEventListener("online", this.again);
    this.socket?.close();
    this.tell("closed", 0);
  }

  /** @param {any} frame */
  send(frame) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(frame));
  }

  async open() {
    clearTimeout(this.timer);
    this.tell("connecting", 0);
    try {
      const socket = new WebSocket(await this.wanted.url());
      if (this.closed) return socket.close();
      this.socket = socket;
      socket.addEventListener("open", () => this.opened());
      socket.addEventListener("message", (message) => this.heard(message.data));
      socket.addEventListener("close", (event) => this.ended(event.code));
    } catch {
      this.wait();
    }
  }

  opened() {
    this.heard_at = Date.now();
    this.tell("live", 0);
  }

  /** @param {string} text */
  heard(text) {
    this.heard_at = Date.now();
    this.failures = 0;
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return; // none of ours
    }
    if (frame.type !== "pong") this.wanted.onFrame(frame);
  }

  /** @param {number} code */
  async ended(code) {
    if (this.closed) return;
    if (code === NOT_THERE) return this.close();
    if (code === REFUSED) {
      this.tell("waiting", 0);
      await call("sessions?limit=1").catch(() => {}); // asks for a token, when that is what is wrong
    }
    this.wait();
  }

  wait() {
    if (this.closed) return;
    const wait_ms = Math.min(MOST_MS, FIRST_MS * 2 ** this.failures);
    this.failures += 1;
    this.tell("waiting", wait_ms);
    // Spread, so that a service that starts again does not meet all its readers at once.
    this.timer = window.setTimeout(() => this.open(), wait_ms * (0.8 + 0.4 * Math.random()));
  }

  ping() {
    if (this.state !== "live") return;
    if (Date.now() - this.heard_at > SILENT_MS) this.socket?.close();
    else this.send({ type: "ping" });
  }

  /** @param {State} state @param {number} wait_ms */
  tell(state, wait_ms) {
    this.state = state;
    this.wanted.onState?.(state, wait_ms);
  }
}
