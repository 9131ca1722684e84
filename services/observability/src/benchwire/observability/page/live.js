/** What happens in the whole lab: one socket for the page, its frames handed to whichever room listens. */

import { call, query, socketUrl } from "./api.js";
import { LiveSocket } from "./socket.js";

/** @typedef {{type: string, seq?: number, place?: string, [field: string]: any}} Frame */
/** @typedef {(frame: Frame) => void} Listener */

/** @type {Set<Listener>} */
const listeners = new Set();
/** The place up to which everything was told; null before the first connection. @type {string | number | null} */
let told = null;

/**
 * Starts to listen. What a room has to read again, because more was missed than is told again, it learns from a frame of type `init`.
 *
 * @param {(state: import("./socket.js").State, wait_ms: number) => void} onState
 */
export function start(onState) {
  const url = async () => {
    told ??= await applied();
    return socketUrl(`ws${query({ since: told })}`);
  };
  return new LiveSocket({ url, onFrame: hear, onState });
}

/** Where the log is now: from there on frames are enough, and the list of all sessions need not be sent. */
async function applied() {
  try {
    return (await call("health")).projection.applied;
  } catch {
    return null;
  }
}

/** @param {Frame} frame */
function hear(frame) {
  told = frame.place ?? frame.seq ?? told;
  for (const listener of [...listeners]) listener(frame);
}

/** Hands frames to `listener` until the signal ends it. @param {Listener} listener @param {AbortSignal} signal */
export function listen(listener, signal) {
  listeners.add(listener);
  signal.addEventListener("abort", () => listeners.delete(listener));
}
