/** Dialogs: a question before something is lost, the token, the shortcuts; and notices that go away by themselves. */

import { h } from "./dom.js";

const NOTICE_MS = 8000;

/**
 * Shows a dialog, and resolves with the name of the button that closed it (empty for Escape).
 *
 * @param {string} title
 * @param {import("./dom.js").Child} body
 * @param {{name: string, label: string, kind?: string, skips?: boolean}[]} buttons the last is the one that Enter means
 * @returns {Promise<string>}
 */
export function dialog(title, body, buttons) {
  return new Promise((resolve) => {
    const element = h(
      "dialog",
      { "aria-labelledby": "dialog-title" },
      h(
        "form",
        { method: "dialog", class: "dialog" },
        h("h2", { id: "dialog-title" }, title),
        body,
        h("div", { class: "buttons" }, buttons.map((one) =>
          h("button", { value: one.name, class: one.kind ?? "", formnovalidate: one.skips }, one.label),
        )),
      ),
    );
    // Enter in a field presses the first button of a form; here the last one is meant.
    element.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter" || !(event.target instanceof HTMLInputElement)) return;
      event.preventDefault();
      element.querySelector(".buttons button:last-child").click();
    });
    element.addEventListener("close", () => {
      element.remove();
      resolve(element.returnValue);
    });
    document.body.append(element);
    element.showModal();
  });
}

/** Whether somebody means it. @param {string} title @param {string} text @param {string} yes */
export async function confirmed(title, text, yes) {
  const buttons = [{ name: "no", label: "Cancel", skips: true }, { name: "yes", label: yes, kind: "danger" }];
  return (await dialog(title, h("p", {}, text), buttons)) === "yes";
}

/** Asks for the token until one is given. @param {string} why @returns {Promise<string>} */
export async function askForToken(why) {
  for (;;) {
    const input = h("input", { type: "password", name: "token", autocomplete: "off", spellcheck: "false", required: true, autofocus: true });
    const body = [
      h("p", {}, "This lab is guarded. The token is kept until this tab is closed."),
      why && h("p", { class: "wrong", role: "alert" }, why),
      h("label", { class: "field" }, h("span", {}, "Token"), input),
    ];
    await dialog("A token is needed", body, [{ name: "use", label: "Use it", kind: "primary" }]);
    const given = input.value.trim();
    if (given) return given;
  }
}

/** Says something for a while. @param {string} text @param {"news" | "wrong"} [kind] */
export function notice(text, kind = "news") {
  const element = h("div", { class: `notice ${kind}` }, h("span", {}, text));
  const close = () => element.remove();
  element.append(h("button", { type: "button", class: "icon", "aria-label": "Dismiss", onclick: close }, "×"));
  const place = /** @type {HTMLElement} */ (document.getElementById("notices"));
  for (const same of [...place.children].filter((one) => one.firstChild?.textContent === text)) same.remove();
  while (place.childElementCount > 3) place.firstElementChild?.remove();
  place.append(element);
  setTimeout(close, NOTICE_MS);
}

/** Runs something that may fail, and says why when it does. @template T @param {() => Promise<T>} run @returns {Promise<T | undefined>} */
export async function attempt(run) {
  try {
    return await run();
  } catch (error) {
    if (/** @type {Error} */ (error).name !== "AbortError") notice(/** @type {Error} */ (error).message, "wrong");
    return undefined;
  }
}

/**
 * The same for a button, which says what is being done meanwhile.
 *
 * @param {HTMLButtonElement} button @param {string} doing @param {() => Promise<void>} run
 */
export async function pressed(button, doing, run) {
  const label = button.textContent;
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  button.textContent = doing;
  await attempt(run);
  button.disabled = false;
  button.removeAttribute("aria-busy");
  button.textContent = label;
}
