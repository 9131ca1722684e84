/**
 * Making elements. Whatever comes from outside goes through `h` as text: there is no way here to hand in markup.
 *
 * @typedef {Node | string | number | null | undefined | false | Children} Child
 * @typedef {Child[]} Children
 */

/**
 * An element. A property that starts with `on` is a listener, `class` and `data-…` are attributes, `true` sets an attribute without
 * a value, and `false`, `null` and `undefined` leave it out.
 *
 * @param {string} tag
 * @param {Record<string, any> | null} [properties]
 * @param {...Child} children
 * @returns {any} the element; callers know which kind it is
 */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") /** @type {HTMLInputElement} */ (element).value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/** @param {Element} parent @param {Child[]} children */
function append(parent, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(parent, child);
    else parent.append(child instanceof Node ? child : String(child));
  }
}

/** Of elements that `reconcile` made. @type {WeakMap<Element, string>} */
const versions = new WeakMap();

/** How the children of an element were made last. @type {WeakMap<Element, () => void>} */
const redraws = new WeakMap();

/** Puts `children` in the place of everything that is in `parent`. @param {Element} parent @param {...Child} children */
export function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

/**
 * Makes the children of `parent` those that `items` stand for, in their order, and leaves alone what did not change, so that
 * focus, selection and opened folds stay. One that a pointer is down on waits until that is up again: the click would else be lost.
 *
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => string} versionOf an element is made anew when this changes
 * @param {(item: T, before: Element | undefined) => Element} make
 */
export function reconcile(parent, items, keyOf, versionOf, make) {
  redraws.set(parent, () => reconcile(parent, items, keyOf, versionOf, make));
  const there = new Map();
  for (const child of parent.children) there.set(/** @type {HTMLElement} */ (child).dataset.key, child);
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const version = versionOf(item);
    const before = there.get(key);
    there.delete(key);
    let element = before;
    if (before?.matches(":active") && versions.get(before) !== version) {
      document.addEventListener("pointerup", () => window.setTimeout(() => redraws.get(parent)?.(), 0), { once: true });
    } else if (!before || versions.get(before) !== version) {
      element = /** @type {HTMLElement} */ (make(item, before));
      element.dataset.key = key;
      versions.set(element, version);
      if (before) {
        if (place === before) place = element;
        before.replaceWith(element);
      }
    }
    if (place === element) place = element.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const gone of there.values()) gone.remove();
}

/** Calls `run` once, `after_ms` after the last of many calls. @param {() => void} run @param {number} after_ms */
export function settled(run, after_ms) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = window.setTimeout(run, after_ms);
  };
}

/** Calls `run` at most once every `every_ms`, and once more after the last call. @param {() => void} run @param {number} every_ms */
export function paced(run, every_ms) {
  let timer = 0;
  return () => {
    timer ||= window.setTimeout(() => {
      timer = 0;
      run();
    }, every_ms);
  };
}
