// The state of one viewer or page. Panels read it, change it and watch it, and do not call one another.

/**
 * @template S
 * @typedef {object} Store
 * @property {() => S} get
 * @property {(change: Partial<S>) => void} set
 * @property {<V>(select: (state: S) => V, listener: (value: V, current: AbortSignal) => void, life: AbortSignal) => void} watch
 *   Calls the listener with the selected value now and after each change of it, until `life` aborts.
 *   `current` aborts as soon as the value is out of date, and ends what the listener has started for it.
 */

/**
 * @template S
 * @param {S} initial
 * @returns {Store<S>}
 */
export function createStore(initial) {
  let state = initial;
  /** @type {Set<() => void>} */
  const checks = new Set();
  return {
    get: () => state,
    set(change) {
      state = { ...state, ...change };
      for (const check of [...checks]) if (checks.has(check)) check(); // a listener may end another
    },
    watch(select, listener, life) {
      if (life.aborted) return;
      let value = select(state);
      let current = new AbortController();
      const check = () => {
        const next = select(state);
        if (Object.is(next, value)) return;
        current.abort();
        [value, current] = [next, new AbortController()]; // before the call: a listener may set the state again
        listener(value, current.signal);
      };
      checks.add(check);
      life.addEventListener("abort", () => (checks.delete(check), current.abort()), { once: true });
      listener(value, current.signal);
    },
  };
}
