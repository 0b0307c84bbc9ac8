// Requests to the service, typed by its OpenAPI document, and its refusals as errors.
import { explain } from "./words.js";

// A proxy may put the service under a path prefix. This module's own address tells it.
const ROOT = new URL("../..", import.meta.url).pathname; // "/" or "/prefix/"

/** The address of a path of the service, for example "/api/v1/slides". @param {string} path */
export const address = (path) => ROOT + path.slice(1);

/** A request that the service refused or could not answer; status 0: it could not be reached. */
export class Refusal extends Error {
  /** @param {number} status @param {string} detail @param {string} [code] of the problem, "" where there is none */
  constructor(status, detail, code = "") {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

/** @param {Response} answer */
async function refusal(answer) {
  try {
    const problem = await answer.json();
    return new Refusal(answer.status, explain(problem), problem.type?.split(":").pop());
  } catch {
    return new Refusal(answer.status, `the service answered ${answer.status}`);
  }
}

/**
 * Sends a request and returns the response.
 *
 * @template {import("./types").Method} M
 * @template {import("./types").PathOf<M>} P
 * @param {M} method @param {P} path template, for example "/api/v1/slides/{slide_id}"
 * @param {import("./types").Rest<M, P>} rest `path` and `query` parameters, `body`, `signal`
 * @returns {Promise<Response>}
 */
export async function send(method, path, ...[options]) {
  const { path: parameters = {}, query = {}, body, signal } =
    /** @type {{ path?: Record<string, string | number>, query?: Record<string, string | number | null | undefined>, body?: unknown, signal?: AbortSignal }} */ (options ?? {});
  const filled = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(parameters[name]));
  const pairs = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const search = pairs.length ? `?${new URLSearchParams(pairs.map(([name, value]) => [name, String(value)]))}` : "";
  const content = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  let answer;
  try {
    answer = await fetch(address(filled) + search, { method: method.toUpperCase(), signal: signal ?? null, ...content });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(0, "the service cannot be reached. Check that it is running");
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

/**
 * Sends a request and returns the JSON of its answer.
 *
 * @template {import("./types").Method} M
 * @template {import("./types").PathOf<M>} P
 * @param {M} method @param {P} path @param {import("./types").Rest<M, P>} rest
 * @returns {Promise<import("./types").Answer<M, P>>}
 */
export async function request(method, path, ...rest) {
  const answer = await send(method, path, ...rest);
  return answer.status === 204 ? /** @type {import("./types").Answer<M, P>} */ (undefined) : answer.json();
}

/** Whether an error only says that its request was given up. @param {unknown} error */
export const isAbort = (error) => error instanceof DOMException && error.name === "AbortError";

/** Whether this visitor manages people, keys and the audit. @param {import("./types").Me} me */
export const isManager = (me) => me.role === "admin" && (me.scopes === null || me.scopes.includes("manage"));
