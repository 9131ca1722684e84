/** Tasks: the list, and beside it the one that is open. */

import { call } from "./api.js";
import { attempt, dialog } from "./dialogs.js";
import { h, paced, reconcile } from "./dom.js";
import { badge, href, since } from "./format.js";
import { listen } from "./live.js";
import { Pair } from "./pair.js";
import { TaskView } from "./task.js";

const READ_AGAIN_MS = 400;

/** @type {import("./main.js").Room} */
export function show(visit) {
  const rows = h("ul", { class: "rows" });
  const foot = h("p", { class: "faint edge" });
  const list = h(
    "section",
    { class: "list", "aria-label": "Tasks" },
    h("div", { class: "head" }, h("h1", {}, "Tasks"), h("button", { type: "button", class: "primary", "data-new": true, onclick: newTask }, "New task")),
    h("div", { class: "scroller" }, rows, foot),
  );
  const pair = new Pair(visit, { room: "tasks", list, empty: "Choose a task to follow it.", make: (id, place) => new TaskView(id, place) });

  const read = async () => {
    const answer = await attempt(() => call("tasks", { signal: visit.signal }));
    if (!answer) return;
    reconcile(rows, answer.tasks, (/** @type {any} */ one) => one.task_id, (one) => `${one.status} ${one.modified_at} ${one.progress}`, row);
    foot.textContent = answer.tasks.length ? "" : "No task here yet. New task asks for firmware; so does “benchwire run”.";
    pair.mark();
  };
  const soon = paced(read, READ_AGAIN_MS);
  listen((frame) => {
    const task_id = frame.type === "fact" ? frame.data.task_id : undefined;
    if (frame.type !== "init" && task_id === undefined) return;
    soon();
    // A fact of which its own socket tells nothing changes a task, too.
    if (pair.open && (task_id ?? pair.id) === pair.id) pair.open.again();
  }, visit.signal);
  read();
  pair.turn(visit.id);
  return pair.turn;
}

/** @param {any} one */
function row(one) {
  const done = one.total_modules ? `${one.modules_complete} of ${one.total_modules}` : one.kind;
  return h(
    "li",
    {},
    h(
      "a",
      { href: href("tasks", one.task_id), "data-row": true },
      h("span", { class: "name" }, one.prompt || one.modules.map((/** @type {any} */ node) => node.name).join(", ") || one.task_id),
      badge(one.status),
      h("span", { class: "faint" }, `${done} · `, since(one.created_at)),
    ),
  );
}

/** Asks for firmware. */
async function newTask() {
  const prompt = h("textarea", { rows: "5", required: true, autofocus: true, placeholder: "What should the firmware do, and what should the board print?" });
  const board = h("input", { placeholder: "stm32f405, esp32c3 …; empty for code without a board", autocomplete: "off" });
  const expect = h("input", { placeholder: "SELFTEST PASS", autocomplete: "off" });
  const body = [
    h("label", { class: "field" }, h("span", {}, "Prompt"), prompt),
    h("label", { class: "field" }, h("span", {}, "Board"), board),
    h("label", { class: "field" }, h("span", {}, "The line that the board has to print"), expect),
  ];
  const done = await dialog("New task", body, [{ name: "no", label: "Cancel", skips: true }, { name: "yes", label: "Start", kind: "primary" }]);
  if (done !== "yes") return;
  const made = await attempt(() => call("tasks", { method: "POST", json: asked(prompt.value, board.value.trim(), expect.value.trim()) }));
  if (made) location.hash = href("tasks", made.task_id);
}

/** The body of `POST /tasks`. @param {string} prompt @param {string} board @param {string} expect */
function asked(prompt, board, expect) {
  if (!board) return { prompt };
  if (!expect) return { prompt, board };
  const assertions = [{ name: `prints ${expect}`, pattern: expect }];
  return { prompt, board, nodes: [{ node_id: board, board, description: prompt, expect, assertions }] };
}
