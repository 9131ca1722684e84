/** One task: its nodes with everything that was tried, live. */

import { call, socketUrl } from "./api.js";
import { attempt, notice, pressed } from "./dialogs.js";
import { fill, h, paced, reconcile } from "./dom.js";
import { at, badge, count, duration, since, size } from "./format.js";
import { LiveSocket } from "./socket.js";
import { code } from "./text.js";

const READ_AGAIN_MS = 250;
const MOST_LINES = 300;
const RUNS = ["in_progress", "cancelling"];
const STEPS = ["generating", "compiling", "simulating", "deploying", "success"];
const STEP_NAMES = ["write", "compile", "simulate", "flash", "done"];
const CODE_STEPS = ["generating", "testing", "success"];
const CODE_STEP_NAMES = ["write", "test", "done"];

export class TaskView {
  /** @param {string} task_id @param {HTMLElement} place */
  constructor(task_id, place) {
    this.task_id = task_id;
    this.path = `tasks/${encodeURIComponent(task_id)}`;
    this.leaving = new AbortController();
    this.head = h("header", { class: "head" });
    this.nodes = h("div", { class: "nodes" });
    this.lines = h("ol", { class: "log" });
    this.guidance = h("input", { required: true, placeholder: "Guidance for the next try", "aria-label": "Guidance for the next try", maxlength: "4000", autocomplete: "off" });
    this.intervene = h("form", { class: "guide", hidden: true, onsubmit: this.guide }, this.guidance, h("button", {}, "Send"));
    fill(
      place,
      this.head,
      h("div", { class: "scroller" }, this.intervene, this.nodes, h("details", { class: "history" }, h("summary", {}, "What happened"), this.lines)),
    );
    this.again = paced(() => this.read(), READ_AGAIN_MS);
    this.socket = new LiveSocket({ url: () => socketUrl(`ws/${encodeURIComponent(task_id)}`), onFrame: (frame) => this.hear(frame), onState: (state) => state === "live" && fill(this.lines) });
    this.read();
  }

  /** Leaves nothing behind. */
  close() {
    this.socket.close();
    this.leaving.abort();
  }

  /** @param {any} frame */
  hear(frame) {
    if (frame.type === "ERROR") return notice(frame.data.error, "wrong");
    const { module, iteration } = frame.data;
    const words = [module, frame.type.toLowerCase().replaceAll("_", " ").replace(/^module /, ""), iteration && `(try ${iteration})`];
    const told = frame.data.line ?? frame.data.error ?? frame.data.guidance ?? "";
    this.lines.append(h("li", {}, at(frame.timestamp), h("span", {}, words.filter(Boolean).join(" ")), told && h("code", {}, told)));
    while (this.lines.childElementCount > MOST_LINES) this.lines.firstElementChild?.remove();
    this.again();
  }

  async read() {
    const signal = this.leaving.signal;
    const both = await attempt(() => Promise.all([call(this.path, { signal }), call(`${this.path}/results`, { signal })]));
    if (!both) return;
    const [task, results] = both;
    this.drawHead(task, results);
    this.intervene.hidden = task.status !== "in_progress";
    reconcile(this.nodes, results.modules, (one) => one.name, (one) => JSON.stringify(one), node);
    if (!results.modules.length) fill(this.nodes, h("p", { class: "empty", "data-key": "" }, RUNS.includes(task.status) ? "Waiting for a runner to plan it …" : "It made nothing."));
  }

  /** @param {any} task @param {any} results */
  drawHead(task, results) {
    const runs = RUNS.includes(task.status);
    const label = task.status === "cancelling" ? "Cancelling …" : "Cancel";
    const cancel = h("button", { type: "button", class: "stop", disabled: task.status === "cancelling", onclick: this.cancel }, label);
    fill(
      this.head,
      h(
        "div",
        { class: "title" },
        h("a", { class: "back", href: "#/tasks", "data-back": true, "aria-label": "Back to the list" }, "‹"),
        h("h2", {}, task.prompt || this.task_id),
        badge(task.status),
      ),
      h(
        "div",
        { class: "facts" },
        h("code", {}, this.task_id),
        task.runner && h("span", {}, `on ${task.runner}`),
        h("span", {}, "started ", since(task.created_at)),
        results.duration_s && h("span", {}, `took ${duration(results.duration_s)}`),
        task.error && h("span", { class: "wrong" }, task.error),
      ),
      h("progress", { max: "1", value: task.progress, "aria-label": `${task.modules_complete} of ${task.total_modules} nodes done` }),
      runs && h("div", { class: "actions" }, cancel),
    );
  }

  /** @param {Event} event */
  cancel = (event) =>
    pressed(/** @type {HTMLButtonElement} */ (event.currentTarget), "Cancelling …", async () => {
      notice((await call(`${this.path}/cancel`, { method: "POST" })).message);
      await this.read();
    });

  /** @param {Event} event */
  guide = async (event) => {
    event.preventDefault();
    const told = await attempt(() => call(`${this.path}/intervene`, { method: "POST", json: { guidance: this.guidance.value } }));
    if (!told) return;
    this.guidance.value = "";
    notice("The next try will hear of it.");
  };
}

/** @param {any} one @param {Element} [before] */
function node(one, before) {
  const folds = new Folds(before);
  const last = one.iterations.at(-1)?.iteration;
  return h(
    "section",
    { class: "card node", "aria-label": one.name },
    h("div", { class: "title" }, h("h3", {}, one.name), h("span", { class: "faint" }, one.board), badge(one.state)),
    one.board ? steps(one.state === "testing" ? "simulating" : one.state, STEPS, STEP_NAMES) : steps(one.state, CODE_STEPS, CODE_STEP_NAMES),
    one.description && h("p", { class: "description" }, one.description),
    one.error && h("p", { class: "wrong" }, one.error),
    one.deployed && deployed(one.deployed, one.state),
    one.iterations.map((/** @type {any} */ iteration) => tried(iteration, folds, iteration.iteration === last)),
  );
}

/** What can be folded in a node. What a person opened or closed stays so when the node is drawn again. */
class Folds {
  /** @param {Element} [before] */
  constructor(before) {
    const touched = /** @type {HTMLDetailsElement[]} */ ([...(before?.querySelectorAll("details[data-touched]") ?? [])]);
    this.kept = new Map(touched.map((fold) => [fold.dataset.fold, fold.open]));
  }

  /** @param {string} name @param {boolean} open unless a person said otherwise @param {Record<string, any>} more @param {...import("./dom.js").Child} children */
  make(name, open, more, ...children) {
    const kept = this.kept.get(name);
    const touch = (/** @type {Event} */ event) => {
      const summary = /** @type {HTMLElement} */ (event.target).closest("summary");
      if (summary?.parentElement === fold) fold.dataset.touched = "true";
    };
    const fold = h("details", { ...more, open: kept ?? open, "data-fold": name, "data-touched": kept === undefined ? null : "true", onclick: touch }, children);
    return fold;
  }
}

/** How far a node is on its way. @param {string} state @param {string[]} all @param {string[]} names */
function steps(state, all, names) {
  const here = all.indexOf(state);
  if (here < 0) return null;
  return h(
    "ol",
    { class: "steps", "aria-label": "Progress" },
    names.map((name, index) =>
      h("li", { class: index < here || state === "success" ? "past" : index === here ? "now" : "", "aria-current": index === here ? "step" : null }, name),
    ),
  );
}

/** @param {any} where @param {string} state */
function deployed(where, state) {
  const said = where.line ? h("code", {}, where.line) : state === "deploying" ? "waiting for its first words …" : "said nothing";
  return h("p", { class: "deployed" }, h("a", { href: "#/lab" }, `${where.host}/${where.device}`), ": ", said);
}

/** @param {any} one @param {Folds} folds @param {boolean} is_last */
function tried(one, folds, is_last) {
  const name = `try ${one.iteration}`;
  const passed = (one.simulation ?? one.tests)?.ok && !one.failed_stage;
  const outcome = one.failed_stage ? `did not pass: ${one.failed_stage}` : passed ? "passed" : "under way";
  return folds.make(
    name,
    is_last,
    { class: "try" },
    h(
      "summary",
      {},
      h("span", { class: `dot ${one.failed_stage ? "failed" : passed ? "done" : "running"}`, "aria-hidden": "true" }),
      h("strong", {}, `Try ${one.iteration}`),
      h("span", { class: "gist" }, outcome),
    ),
    Object.entries(one.sources).map(([file, text]) => source(`${name} ${file}`, file, String(text), folds)),
    one.diagnostics && [h("h4", {}, one.compiled ? "The compiler warns" : "The compiler says"), h("div", { class: one.compiled ? "" : "wrong" }, code(one.diagnostics))],
    one.memory && one.compiled && memory(one.memory),
    one.simulation && simulated(one.simulation),
    one.tests && tested(one.tests),
  );
}

/** @param {string} name @param {string} file @param {string} text @param {Folds} folds */
function source(name, file, text, folds) {
  const lines = h("span", { class: "faint" }, ` ${count(text.split("\n").length)} lines`);
  return folds.make(name, false, {}, h("summary", {}, h("code", {}, file), lines), code(text));
}

/** @param {any} used */
function memory(used) {
  const bar = (/** @type {string} */ name, /** @type {number} */ bytes, /** @type {number} */ limit) =>
    h("div", {}, h("span", {}, name), h("meter", { min: "0", max: limit || 1, high: limit * 0.9, value: bytes }), h("span", { class: "faint" }, `${size(bytes)} of ${size(limit)}`));
  return h("div", { class: "memory" }, bar("Flash", used.flash_bytes, used.flash_limit_bytes), bar("RAM", used.ram_bytes, used.ram_limit_bytes));
}

/** What the tests of a module of code came to, and what its score is made of. @param {any} one */
function tested(one) {
  const measures = Object.entries(one.measures).map(([name, value]) => h("div", {}, h("span", {}, name), h("meter", { min: "0", max: "1", value }), share(name, Number(value), one.weights)));
  const ran = one.tests_passed + one.tests_failed;
  return [
    h("h4", {}, `Tests: ${one.outcome}, ${one.tests_passed} of ${ran} passed, quality ${one.quality_score.toFixed(2)}`),
    measures.length > 0 && h("div", { class: "memory" }, measures),
    one.report && h("div", { class: "console" }, code(one.report)),
  ];
}

/** @param {string} name @param {number} value @param {Record<string, number>} weights */
function share(name, value, weights) {
  return h("span", { class: "faint" }, `${value.toFixed(2)}, counts ${Math.round((weights[name] ?? 0) * 100)} %`);
}

/** @param {any} one */
function simulated(one) {
  return [
    h("h4", {}, `Simulation: ${one.outcome}`),
    one.assertions.length > 0 &&
      h("ul", { class: "assertions" }, one.assertions.map((/** @type {any} */ each) =>
        h("li", { class: each.passed ? "passed" : "failed" }, h("span", { "aria-label": each.passed ? "passed" : "failed" }, each.passed ? "✓" : "✗"), each.name, each.detail && h("code", {}, each.detail)),
      )),
    one.output && h("div", { class: "console" }, code(one.output)),
    one.simulator_error && h("div", { class: "wrong" }, code(one.simulator_error)),
  ];
}
