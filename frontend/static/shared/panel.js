// A panel is a module that fills a host element from a store: mount(host, store) and unmount(host).

/**
 * Makes the two exports of a panel module. One abort signal is the life of a mounted panel: listeners, requests,
 * watchers and streams end with it, so that unmount has nothing to remember.
 *
 * @template S
 * @param {(host: HTMLElement, store: import("./store.js").Store<S>, life: AbortSignal) => void} fill
 */
export function panel(fill) {
  /** @type {WeakMap<HTMLElement, AbortController>} */
  const lives = new WeakMap();
  /** @param {HTMLElement} host */
  const unmount = (host) => {
    lives.get(host)?.abort();
    lives.delete(host);
  };
  /** @param {HTMLElement} host @param {import("./store.js").Store<S>} store */
  const mount = (host, store) => {
    unmount(host);
    const life = new AbortController();
    lives.set(host, life);
    fill(host, store, life.signal);
  };
  return { mount, unmount };
}

/**
 * Mounts each panel on the elements that name it: `<section data-panel="regions">`.
 *
 * @template S
 * @param {ParentNode} root
 * @param {Record<string, { mount: (host: HTMLElement, store: import("./store.js").Store<S>) => void, unmount: (host: HTMLElement) => void }>} panels
 * @param {import("./store.js").Store<S>} store
 * @returns {() => void} unmounts them all
 */
export function mountAll(root, panels, store) {
  const hosts = /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-panel]"));
  for (const host of hosts) panels[host.dataset.panel ?? ""].mount(host, store);
  return () => hosts.forEach((host) => panels[host.dataset.panel ?? ""].unmount(host));
}

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} rejects with the signal's reason when it aborts */
export const pause = (ms, signal) => new Promise((resolve, reject) => {
  signal.throwIfAborted();
  const abort = () => (clearTimeout(timer), reject(signal.reason));
  const timer = setTimeout(() => (signal.removeEventListener("abort", abort), resolve()), ms);
  signal.addEventListener("abort", abort, { once: true });
});

/**
 * Calls an action now and then again after each pause, until the life ends. The next pause starts when the action is done.
 * The signal of a call aborts when a newer call starts: a late answer must not be drawn over a newer one.
 *
 * @param {(current: AbortSignal) => Promise<number>} action returns the pause in ms
 * @param {AbortSignal} life
 * @returns {() => void} calls the action at once, in place of the waiting call
 */
export function repeat(action, life) {
  let timer = 0;
  let current = new AbortController();
  const end = () => (clearTimeout(timer), current.abort());
  const run = async () => {
    end();
    if (life.aborted) return;
    const own = current = new AbortController();
    const ms = await action(own.signal);
    if (!own.signal.aborted) timer = window.setTimeout(run, ms);
  };
  life.addEventListener("abort", end, { once: true });
  run();
  return run;
}
