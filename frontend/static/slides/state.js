// The state of the slide list's page.
import { Refusal, isAbort } from "../shared/http.js";
import { createStore } from "../shared/store.js";
import { message } from "../shared/words.js";

/**
 * @typedef {object} SlidesState
 * @property {import("../shared/types").Me | null | undefined} me  null: nobody is signed in; undefined: not known yet
 * @property {string} signInError
 * @property {string} error
 * @property {number} changes  grows when the list must be read again
 */
/** @typedef {import("../shared/store.js").Store<SlidesState>} SlidesStore */

/** @returns {SlidesStore} */
export const createSlidesStore = () => {
  /** @type {SlidesState} */
  const initial = { me: undefined, signInError: "", error: "", changes: 0 };
  return createStore(initial);
};

/** Has the list read again. @param {SlidesStore} store */
export const changed = (store) => store.set({ changes: store.get().changes + 1 });

/** @param {SlidesStore} store @param {unknown} error @param {string} task that failed */
export function report(store, error, task) {
  if (isAbort(error)) return;
  if (error instanceof Refusal && error.status === 401) return store.set({ me: null });
  store.set({ error: `${task}: ${message(error)}.` });
}
