/**
 * From the events of a session to what a person reads: a tool's call and its answer are one thing, wherever they were reported. Pure.
 *
 * @typedef {{id: number, event_type: string, timestamp: string, [field: string]: any}} Event
 * @typedef {{kind: "message", key: string, version: string, role: string, parts: Part[], at: string}} Message
 * @typedef {{kind: "thinking", text: string} | {kind: "text", text: string} | {kind: "other", value: any}} Part
 * @typedef {{kind: "tool", key: string, version: string, name: string, input: any, output: any, error: string | null,
 *   state: "running" | "done" | "failed" | "left", duration_s: number | null, at: string}} Tool
 * @typedef {{kind: "usage", key: string, version: string, event: Event, at: string}} Usage
 * @typedef {{kind: "mark", key: string, version: string, text: string, tone: string, at: string}} Mark
 * @typedef {Message | Tool | Usage | Mark} Item
 */

const ENDS = new Set(["session_stop", "session_failed", "session_stopped"]);

/** @param {Event[]} events oldest first @returns {Item[]} */
export function fold(events) {
  const folding = new Folding();
  for (const event of events) folding.take(event);
  for (const item of folding.items) if (item.kind === "tool") item.version = `${item.state} ${item.output === undefined} ${item.error}`;
  return folding.items;
}

class Folding {
  constructor() {
    /** @type {Item[]} */
    this.items = [];
    /** @type {Map<string, Tool>} */
    this.tools = new Map();
  }

  /** @param {Event} event */
  take(event) {
    switch (event.event_type) {
      case "message":
        return this.message(event);
      case "pre_tool":
        return this.called(event);
      case "post_tool":
        return this.returned(event);
      case "model_usage":
        return void this.items.push({ kind: "usage", key: `u${event.id}`, version: "", event, at: event.timestamp });
      default:
        if (ENDS.has(event.event_type)) this.leave();
        return void this.items.push(mark(event));
    }
  }

  /** @param {Event} event */
  message(event) {
    let parts = /** @type {Part[]} */ ([]);
    let number = 0;
    const flush = () => {
      if (!parts.length) return;
      this.items.push({ kind: "message", key: `m${event.id}.${number}`, version: "", role: event.role, parts, at: event.timestamp });
      number += 1;
      parts = [];
    };
    for (const block of Array.isArray(event.content) ? event.content : []) {
      if (block?.type === "tool_use") {
        flush();
        this.tool(block.id, event, block.name, block.input);
      } else if (block?.type === "tool_result") {
        flush();
        this.answered(event, block);
      } else {
        parts.push(partOf(block));
      }
    }
    flush();
  }

  /** @param {Event} event */
  called(event) {
    this.tool(event.tool_use_id ?? null, event, event.tool_name, event.tool_input);
  }

  /** @param {Event} event */
  returned(event) {
    const tool = this.tools.get(event.tool_use_id ?? "") ?? (event.tool_use_id ? null : this.open(event));
    const found = tool ?? this.tool(event.tool_use_id ?? null, event, event.tool_name, event.tool_input);
    found.output = event.tool_output ?? null;
    found.error = event.error ?? null;
    found.duration_s = event.duration_s ?? null;
    found.state = event.error ? "failed" : "done";
  }

  /** A result as the model was told it; the tool itself may have reported more. @param {Event} event @param {any} block */
  answered(event, block) {
    const tool = this.tools.get(block.tool_use_id) ?? this.tool(block.tool_use_id, event, "tool", undefined);
    if (tool.state === "done" || tool.state === "failed") return;
    tool.output = block.content ?? null;
    tool.state = block.is_error ? "failed" : "done";
  }

  /** @param {string | null} use @param {Event} event @param {string} name @param {any} input @returns {Tool} */
  tool(use, event, name, input) {
    const known = use === null ? undefined : this.tools.get(use);
    if (known) return known;
    /** @type {Tool} */
    const made = {
      kind: "tool", key: use === null ? `e${event.id}` : `t${use}`, version: "", name: String(name ?? "tool"), input, output: undefined, error: null,
      state: "running", duration_s: null, at: event.timestamp,
    };
    this.tools.set(use ?? made.key, made);
    this.items.push(made);
    return made;
  }

  /** The call that an answer without an id belongs to: the same tool with the same input. @param {Event} event */
  open(event) {
    const input = JSON.stringify(event.tool_input ?? {});
    const running = [...this.tools.values()].filter((one) => one.state === "running" && one.name === event.tool_name);
    return running.find((one) => JSON.stringify(one.input ?? {}) === input) ?? running[0] ?? null;
  }

  /** After the end nothing answers any more. */
  leave() {
    for (const tool of this.tools.values()) if (tool.state === "running") tool.state = "left";
  }
}

/** @param {any} block @returns {Part} */
function partOf(block) {
  if (block?.type === "text" && typeof block.text === "string") return { kind: "text", text: block.text };
  if (block?.type === "thinking" && typeof block.thinking === "string") return { kind: "thinking", text: block.thinking };
  return { kind: "other", value: block };
}

/** @param {Event} event @returns {Mark} */
function mark(event) {
  const [text, tone] = said(event);
  return { kind: "mark", key: `k${event.id}`, version: "", text, tone, at: event.timestamp };
}

/** @param {Event} event @returns {[string, string]} */
function said(event) {
  const why = event.reason ? `: ${event.reason}` : "";
  switch (event.event_type) {
    case "session_start":
      return ["Session started", "plain"];
    case "session_stop":
      return event.exit_code ? [`Session ended with exit code ${event.exit_code}${why}`, "wrong"] : [`Session finished${why}`, "good"];
    case "session_stopped":
      return [`Session stopped${why}`, "plain"];
    case "session_failed":
      return [`Session failed${why}`, "wrong"];
    case "message_requested":
      return [`${event.by ?? "Somebody"} says: ${event.text}`, "plain"];
    case "tool_approval_requested":
      return [`${event.tool_name} waits for a person`, "plain"];
    case "tool_decided":
      return event.approved ? [`Allowed by ${event.by}${why}`, "good"] : [event.by ? `Denied by ${event.by}${why}` : `Not allowed${why}`, "wrong"];
    default:
      return [`${event.event_type.replaceAll("_", " ")}${why}`, "plain"];
  }
}
