// The state of the page of people and keys.
import { Refusal, isAbort } from "../shared/http.js";
import { signInAddress } from "../shared/signin.js";
import { createStore } from "../shared/store.js";
import { message } from "../shared/words.js";

/**
 * @typedef {object} PeopleState
 * @property {import("../shared/types").Me | null} me  null: not known yet
 * @property {string} error
 * @property {string} done  what was done last
 */
/** @typedef {import("../shared/store.js").Store<PeopleState>} PeopleStore */

/** @returns {PeopleStore} */
export const createPeopleStore = () => {
  /** @type {PeopleState} */
  const initial = { me: null, error: "", done: "" };
  return createStore(initial);
};

export const ROLES = /** @type {const} */ ({
  viewer: "Viewer: read only", analyst: "Analyst: upload and analyse", admin: "Administrator: everything",
});
export const SCOPES = /** @type {const} */ ({ read: "read", upload: "upload slides", analyse: "analyse", manage: "manage" });

/** @typedef {keyof typeof ROLES} Role */
/** @typedef {keyof typeof SCOPES} Scope */

/** @param {string} role */
export const roleLabel = (role) => /** @type {Record<string, string>} */ (ROLES)[role] ?? role;

/** @param {string} scope */
export const scopeLabel = (scope) => /** @type {Record<string, string>} */ (SCOPES)[scope] ?? scope;

/** @param {unknown} error */
export const failure = (error) => `That did not work: ${message(error)}.`;

/**
 * Runs an action and shows why it failed.
 * @param {PeopleStore} store @param {() => Promise<unknown>} action
 * @returns {Promise<boolean>} whether it succeeded
 */
export async function attempt(store, action) {
  try {
    await action();
    store.set({ error: "", done: "" });
    return true;
  } catch (error) {
    if (isAbort(error)) return false;
    if (error instanceof Refusal && error.status === 401) location.assign(signInAddress());
    store.set({ error: failure(error) });
    return false;
  }
}
