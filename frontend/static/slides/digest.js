// The SHA-256 of a file, computed in a worker: the browser's own function takes a whole file at once, in memory.

/** The browser cannot compute a digest. The file may be sent without one. */
export class NoDigest extends Error {}

/** @returns {Worker} */
function start() {
  try {
    return new Worker(new URL("./digest_worker.js", import.meta.url), { type: "module" });
  } catch {
    throw new NoDigest("this browser runs no web workers");
  }
}

/**
 * @param {File} file @param {(bytes: number) => void} progress called with the bytes read so far
 * @param {AbortSignal} life ends the computation
 * @returns {Promise<string>} 64 hexadecimal digits. Rejects with NoDigest, or with an Error if the file cannot be read.
 */
export const digest = (file, progress, life) => new Promise((resolve, reject) => {
  life.throwIfAborted();
  const worker = start();
  const end = new AbortController();
  end.signal.addEventListener("abort", () => worker.terminate());
  worker.addEventListener("message", ({ data: { bytes, sha256, error } }) => {
    if (bytes !== undefined) return progress(bytes);
    end.abort();
    if (sha256) resolve(sha256);
    else reject(new Error(`the file cannot be read: it was moved or changed since it was chosen (${error})`));
  });
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    end.abort();
    reject(new NoDigest("the worker that computes it did not start"));
  });
  life.addEventListener("abort", () => (end.abort(), reject(life.reason)), { once: true, signal: end.signal });
  worker.postMessage(file);
});

/** Runs actions one after another: many files at once would read the disk and use the processors all at once. */
export class Queue {
  last = /** @type {Promise<unknown>} */ (Promise.resolve());

  /** @template T @param {() => Promise<T>} action @returns {Promise<T>} */
  add(action) {
    const result = this.last.then(action);
    this.last = result.catch(() => undefined);
    return result;
  }
}
