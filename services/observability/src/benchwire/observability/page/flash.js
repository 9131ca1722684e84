/** Flash jobs: a bar for each that runs, and how the last ones ended. */

import { call, socketUrl } from "./api.js";
import { attempt, dialog, pressed } from "./dialogs.js";
import { h, paced, reconcile } from "./dom.js";
import { duration, since, size } from "./format.js";
import { Flashed } from "./flashed.js";
import { LiveSocket } from "./socket.js";

const DRAW_MS = 80;
const ENDED_SHOWN = 8;
const ENDS = { flash_completed: "completed", flash_failed: "failed", flash_cancelled: "cancelled" };

/**
 * @typedef {{jobId: string, deviceId: string, host: string, status: string, stage: string, progress: number, done: number, total: number,
 *   speed: number, remaining: number | null, error: string | null, name: string, duration: number | null, at: number, limit: number | null,
 *   remark: string, outside: boolean, heardAt: number}} Job
 */

export class FlashBars {
  /** @param {AbortSignal} signal */
  constructor(signal) {
    /** @type {Map<string, Job>} */
    this.jobs = new Map();
    this.list = h("ul", { class: "bars" });
    this.none = h("p", { class: "faint" }, "Nothing is being flashed.");
    this.flashed = new Flashed(signal);
    this.element = h("div", { class: "scroller" }, this.none, this.list, this.flashed.element);
    this.soon = paced(() => this.draw(), DRAW_MS);
    this.signal = signal;
    const socket = new LiveSocket({
      url: () => socketUrl("flash-progress"),
      onFrame: (frame) => this.hear(frame),
      onState: (state) => state === "live" && this.begin(), // before the frames that tell of what runs
    });
    signal.addEventListener("abort", () => socket.close());
  }

  /** Reads the newest jobs: frames tell only of what happens while one listens. */
  async begin() {
    this.jobs.clear(); // what ended meanwhile is told by nobody
    const asked = performance.now();
    const answer = await attempt(() => call("api/flash/jobs?limit=40", { signal: this.signal }));
    if (!answer) return;
    for (const one of answer.jobs.reverse()) {
      const known = this.of(one.jobId, one.deviceId, one.host);
      Object.assign(known, { name: one.firmware.name ?? "", total: known.total || (one.totalBytes ?? 0), outside: one.outside });
      if (known.heardAt > asked) continue; // a frame was quicker than this answer, and is newer
      Object.assign(known, {
        status: one.status, error: one.error, duration: one.duration, at: one.endedAt ?? one.requestedAt, limit: one.maxBytesPerS,
        remark: one.pauseDeferred ? `pauses later: ${one.pauseDeferred}` : "",
      });
      if (one.status === "completed") known.progress = 100;
    }
    this.draw();
  }

  /** @param {string} jobId @param {string} deviceId @param {string} host @returns {Job} */
  of(jobId, deviceId, host) {
    let job = this.jobs.get(jobId);
    if (!job) {
      job = { jobId, deviceId, host, status: "queued", stage: "", progress: 0, done: 0, total: 0, speed: 0, remaining: null, error: null, name: "", duration: null, at: Date.now(), limit: null, remark: "", outside: false, heardAt: 0 };
      this.jobs.set(jobId, job);
    }
    return job;
  }

  /** @param {any} frame */
  hear(frame) {
    if (!frame.jobId) return;
    const job = this.of(frame.jobId, frame.deviceId, frame.host);
    job.at = frame.timestamp;
    job.heardAt = performance.now();
    if (frame.type === "flash_progress") {
      Object.assign(job, {
        status: job.status === "paused" || job.status === "cancelling" ? job.status : "flashing", stage: frame.stage, progress: frame.progress,
        done: frame.bytesTransferred, total: frame.totalBytes, speed: frame.transferSpeed, remaining: frame.estimatedTimeRemaining,
      });
    } else this.change(job, frame);
    this.soon();
  }

  /** @param {Job} job @param {any} frame */
  change(job, frame) {
    job.total = frame.totalBytes ?? job.total;
    if (frame.type === "flash_throttled") job.limit = frame.maxBytesPerS;
    else job.remark = remark(frame);
    if (frame.type === "flash_queued") job.status = "queued";
    else if (frame.type === "flash_started" || frame.type === "flash_resumed") job.status = "flashing";
    else if (frame.type === "flash_paused") job.status = "paused";
    else if (frame.type === "flash_retried") job.progress = 0;
    else if (frame.type in ENDS) {
      job.status = ENDS[/** @type {keyof typeof ENDS} */ (frame.type)];
      job.error = frame.error ?? frame.reason ?? null;
      job.duration = frame.duration ?? null;
      if (job.status === "completed") job.progress = 100;
      this.flashed.read();
    }
  }

  draw() {
    const all = [...this.jobs.values()];
    const ended = all.filter(isOver).sort((a, b) => b.at - a.at);
    for (const one of ended.slice(ENDED_SHOWN)) this.jobs.delete(one.jobId);
    const shown = [...all.filter((one) => !isOver(one)), ...ended.slice(0, ENDED_SHOWN)];
    this.none.hidden = shown.length > 0;
    reconcile(this.list, shown, (one) => one.jobId, (one) => `${one.status} ${one.error} ${one.name} ${one.outside}`, bar);
    for (const one of shown) update(this.list, one);
  }
}

/** What a frame says that no number does. @param {any} frame */
function remark(frame) {
  if (frame.type === "flash_pause_deferred") return `pauses when ${frame.until}`;
  if (frame.type === "flash_retried") return `attempt ${frame.attempt} broke (${frame.error}); it tries again`;
  return "";
}

/** @param {Job} job */
const isOver = (job) => Object.values(ENDS).includes(job.status);

/** @param {Job} job */
function bar(job) {
  return h(
    "li",
    { class: `bar ${job.status}` },
    h(
      "div",
      { class: "title" },
      h("strong", {}, job.deviceId),
      h("span", { class: "faint" }, job.host),
      job.name && h("code", {}, job.name),
      h("span", { class: `badge ${job.status}` }, job.status),
    ),
    !isOver(job) && h("progress", { max: "100", value: "0", "aria-label": `Flashing ${job.deviceId}` }),
    h("div", { class: "foot" }, h("span", { class: "told" }), h("span", { class: "buttons" }, buttons(job))),
  );
}

/** Brings the numbers of a bar up to date: they change many times a second. @param {Element} list @param {Job} job */
function update(list, job) {
  const element = list.querySelector(`:scope > [data-key="${CSS.escape(job.jobId)}"]`);
  const told = element?.querySelector(".told");
  const progress = element?.querySelector("progress");
  if (progress) progress.value = job.progress;
  if (!told) return;
  if (isOver(job)) told.replaceChildren(...ended(job));
  else told.textContent = inWords(job);
}

/** @param {Job} job */
function ended(job) {
  const took = job.duration ? ` in ${duration(job.duration)}` : "";
  const what = job.error ?? (job.status === "completed" ? `${size(job.total)} written and verified${took}` : job.status);
  return [`${what} · `, since(job.at)];
}

/** @param {Job} job */
function inWords(job) {
  if (job.status === "queued") return `waits for its board · ${size(job.total)}`;
  const parts = [`${job.progress.toFixed(job.progress < 100 ? 1 : 0)} %`, job.stage, `${size(job.done)} of ${size(job.total)}`];
  if (job.speed && job.status === "flashing") parts.push(`${size(Math.round(job.speed))}/s`);
  if (job.limit) parts.push(`at most ${size(job.limit)}/s`);
  if (job.remaining && job.status === "flashing") parts.push(`${duration(Math.ceil(job.remaining))} left`);
  return [...parts, job.remark].filter(Boolean).join(" · ");
}

/** @param {Job} job */
function buttons(job) {
  if (isOver(job) || job.outside) return [];
  const steer = (/** @type {string} */ wish, /** @type {string} */ label, /** @type {string} */ doing) =>
    h("button", {
      type: "button",
      class: wish === "cancel" ? "stop" : "",
      "aria-label": `${label} flashing ${job.deviceId}`,
      onclick: (/** @type {Event} */ event) =>
        pressed(/** @type {HTMLButtonElement} */ (event.currentTarget), doing, async () => {
          await call(`api/flash/jobs/${encodeURIComponent(job.jobId)}/${wish}`, { method: "POST" });
        }),
    }, label);
  const cancel = steer("cancel", "Cancel", "Cancelling …");
  const limit = h("button", {
    type: "button",
    "aria-label": `Limit the speed of flashing ${job.deviceId}`,
    onclick: (/** @type {Event} */ event) => pressed(/** @type {HTMLButtonElement} */ (event.currentTarget), "Limit …", () => throttled(job)),
  }, "Limit");
  if (job.status === "flashing") return [steer("pause", "Pause", "Pausing …"), limit, cancel];
  return job.status === "paused" ? [steer("resume", "Resume", "Resuming …"), limit, cancel] : [cancel];
}

/** Asks how fast a job may write. @param {Job} job */
async function throttled(job) {
  const rate = h("input", { name: "rate", type: "number", min: "1", value: job.limit ? String(Math.round(job.limit / 1024)) : "", autofocus: true });
  const body = h("label", { class: "field" }, h("span", {}, "KiB a second; nothing is no limit"), rate);
  const buttons = [{ name: "no", label: "Cancel", skips: true }, { name: "yes", label: "Limit", kind: "primary" }];
  if ((await dialog(`How fast may ${job.deviceId} be flashed?`, body, buttons)) !== "yes") return;
  const json = { max_bytes_per_s: rate.value ? 1024 * Number(rate.value) : null };
  await call(`api/flash/jobs/${encodeURIComponent(job.jobId)}/throttle`, { method: "POST", json });
}
