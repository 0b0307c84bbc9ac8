// Elements of a panel, and text in them.

/**
 * The element with `data-part="name"` in a host.
 *
 * @template {HTMLElement} [T=HTMLElement]
 * @param {ParentNode} host @param {string} name @param {new () => T} [kind] the class of the element
 * @returns {T}
 */
export function part(host, name, kind) {
  const element = host.querySelector(`[data-part="${name}"]`);
  if (!(element instanceof (kind ?? HTMLElement))) throw new Error(`the page has no part "${name}"`);
  return /** @type {T} */ (element);
}

/**
 * A new element with text and class. Text from outside is set as text, never as HTML.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {string} [className] @param {string} [text]
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** Shows a text, or hides the element where there is none. @param {HTMLElement} element @param {string} text */
export function showText(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

/** The drawing context of a canvas. @param {HTMLCanvasElement} canvas */
export function pen(canvas) {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser cannot draw on a canvas");
  return context;
}
