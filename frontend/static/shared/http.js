// Requests to the service, and its refusals as sentences.

export class Refusal extends Error {
  /** @param {number} status @param {string} sentence */
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

/** @param {Response} answer */
async function refusal(answer) {
  try {
    const problem = await answer.json();
    return new Refusal(answer.status, [problem.detail, problem.action].filter(Boolean).join("; "));
  } catch {
    return new Refusal(answer.status, `the service answered ${answer.status}`);
  }
}

/**
 * @param {string} method @param {string} path @param {unknown} [body]
 * @returns {Promise<Response>}
 */
export async function call(method, path, body) {
  const options = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  let answer;
  try {
    answer = await fetch(`/api/v1${path}`, { method, ...options });
  } catch {
    throw new Refusal(0, "the service cannot be reached; is it still running?");
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

/** @param {string} path @returns {Promise<any>} */
export const get = async (path) => (await call("GET", path)).json();

/** @param {string} path @param {unknown} [body] @returns {Promise<any>} */
export const post = async (path, body) => (await call("POST", path, body)).json();

/** Whether this visitor sees people, keys and the audit. @param {any} me what GET /session told */
export const administersAll = (me) => me.role === "admin" && (me.scopes === null || me.scopes.includes("manage"));

/**
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id @returns {T}
 */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return /** @type {T} */ (found);
}

/**
 * A new element with text and class; never HTML from outside.
 * @param {string} tag @param {string} [className] @param {string} [text] @returns {HTMLElement}
 */
export function make(tag, className = "", text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** @param {HTMLElement} place @param {string} sentence */
export function say(place, sentence) {
  place.textContent = sentence;
  place.hidden = !sentence;
}

/** @param {number} bytes */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  for (; bytes >= 1000 && i < units.length - 1; i++) bytes /= 1000;
  return `${bytes < 10 && i ? bytes.toFixed(1) : Math.round(bytes)} ${units[i]}`;
}
