// Uploads: drag and drop, and one row for each file with its progress, pause, resume and cancel.
import { make, part } from "../../shared/dom.js";
import { address } from "../../shared/http.js";
import { panel } from "../../shared/panel.js";
import { explain, size } from "../../shared/words.js";
import { changed } from "../state.js";

/** @typedef {import("tus-js-client").UrlStorage} UrlStorage */

const CHUNK = 32 * 1024 * 1024; // bytes
const RETRIES_MS = [0, 1000, 3000, 5000, 10000, 20000];

/**
 * The key under which an unfinished upload is remembered in this browser. File names may contain a patient's name and
 * the browser may be shared, so that the key is a digest.
 * @param {File} file
 */
async function fingerprint(file) {
  const identity = new TextEncoder().encode([file.name, file.type, file.size, file.lastModified].join("\n"));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", identity));
  return `tus-${Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** The library's storage, without the metadata: they contain the file's name. @returns {UrlStorage} */
function namelessStorage() {
  const storage = /** @type {UrlStorage} */ (/** @type {unknown} */ (tus.defaultOptions.urlStorage));
  return {
    findAllUploads: () => storage.findAllUploads(),
    findUploadsByFingerprint: (key) => storage.findUploadsByFingerprint(key),
    removeUpload: (key) => storage.removeUpload(key),
    addUpload: (key, upload) => storage.addUpload(key, { ...upload, metadata: {} }),
  };
}

/** Why an upload stopped. @param {Error | import("tus-js-client").DetailedError} error */
function describe(error) {
  if (!("originalResponse" in error) || !error.originalResponse) return "the connection was lost";
  try {
    return explain(JSON.parse(error.originalResponse.getBody()));
  } catch {
    return `the service answered ${error.originalResponse.getStatus()}`;
  }
}

class Row {
  /** @param {File} file @param {(complete: boolean) => void} over called once, when the slide is complete or the upload cancelled */
  constructor(file, over) {
    this.item = make("li", "slide");
    this.bar = make("progress");
    this.text = make("div", "facts", "waiting");
    this.pause = make("button", "", "Pause");
    const cancel = make("button", "", "Cancel");
    const middle = make("div");
    middle.append(make("div", "name", file.name), this.bar, this.text);
    const actions = make("div", "actions");
    actions.append(this.pause, cancel);
    this.item.append(make("div", "thumb", "↑"), middle, actions);
    this.bar.max = Math.max(1, file.size);
    this.bar.setAttribute("aria-label", `Upload of ${file.name}`);
    this.over = over;
    this.state = /** @type {"running" | "paused" | "over"} */ ("running");
    this.started = false; // whether the library has been told to send
    this.upload = this.prepare(file);
    this.prepared = this.resume();
    this.pause.addEventListener("click", () => this.toggle());
    cancel.addEventListener("click", () => this.cancel());
    this.start();
  }

  /** @param {File} file */
  prepare(file) {
    return new tus.Upload(file, {
      endpoint: address("/api/v1/uploads"),
      chunkSize: CHUNK,
      retryDelays: RETRIES_MS,
      metadata: { filename: file.name },
      removeFingerprintOnSuccess: true,
      fingerprint,
      urlStorage: namelessStorage(),
      onProgress: (done) => this.progress(done, file.size),
      onBeforeRequest: (request) => this.permit(request),
      onSuccess: () => this.end(true),
      onError: (error) => this.failed(error),
    });
  }

  /** Continues an earlier upload of the same file, where there is one. */
  async resume() {
    const earlier = await this.upload.findPreviousUploads().catch(() => []); // without it the file is sent from its start
    if (earlier.length) this.upload.resumeFromPreviousUpload(earlier[0]);
  }

  /** Sends, unless the upload was paused, cancelled or left meanwhile. */
  async start() {
    await this.prepared;
    if (this.state !== "running" || this.started) return;
    this.started = true;
    this.upload.start();
  }

  /** Holds a request back for ever when it comes too late: the library forgets a stop while it opens the file.
   * @param {import("tus-js-client").HttpRequest} request @returns {Promise<void>} */
  permit(request) {
    const permitted = this.state === "running" || request.getMethod() === "DELETE";
    return permitted ? Promise.resolve() : new Promise(() => undefined);
  }

  /** @param {"paused" | "over"} state @param {boolean} [remove] also from the service */
  stop(state, remove = false) {
    this.state = state;
    this.started = false;
    return this.upload.abort(remove);
  }

  /** @param {boolean} complete */
  end(complete) {
    this.state = "over";
    this.item.remove();
    this.over(complete);
  }

  /** @param {number} done @param {number} total bytes */
  progress(done, total) {
    this.bar.value = done;
    this.text.textContent = `${size(done)} of ${size(total)}`;
  }

  async toggle() {
    this.text.className = "facts";
    const running = this.state === "running";
    this.pause.textContent = running ? "Resume" : "Pause";
    if (running) {
      await this.stop("paused");
      if (this.state === "paused") this.text.textContent = "paused";
    } else {
      this.state = "running";
      await this.start();
    }
  }

  async cancel() {
    await this.stop("over", true).catch(() => undefined); // the service also removes it after some days
    this.end(false);
  }

  /** @param {Error | import("tus-js-client").DetailedError} error */
  failed(error) {
    this.text.textContent = `Stopped: ${describe(error)}.`;
    this.text.className = "reason";
    this.state = "paused";
    this.started = false;
    this.pause.textContent = "Try again";
  }
}

/** @param {HTMLElement} zone @param {(files: FileList | null | undefined) => void} add @param {AbortSignal} life */
function acceptDrops(zone, add, life) {
  /** @param {"dragenter" | "dragover" | "dragleave" | "drop"} name @param {(event: DragEvent) => void} action */
  const on = (name, action) => document.addEventListener(name, action, { signal: life });
  for (const name of /** @type {const} */ (["dragenter", "dragover"])) {
    on(name, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  }
  on("dragleave", (event) => event.relatedTarget || zone.classList.remove("over"));
  on("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    add(event.dataTransfer?.files);
  });
}

/** @param {HTMLElement} host @param {import("../state.js").SlidesStore} store @param {AbortSignal} life */
function show(host, store, life) {
  const list = part(host, "uploads");
  const input = part(host, "files", HTMLInputElement);
  /** @type {Set<Row>} */
  const rows = new Set();
  const add = (/** @type {FileList | null | undefined} */ files) => {
    for (const file of files ?? []) {
      const row = new Row(file, (complete) => {
        rows.delete(row);
        if (complete) changed(store);
      });
      rows.add(row);
      list.append(row.item);
    }
  };
  part(host, "choose").addEventListener("click", () => input.click(), { signal: life });
  input.addEventListener("change", () => {
    add(input.files);
    input.value = "";
  }, { signal: life });
  acceptDrops(part(host, "drop"), add, life);
  life.addEventListener("abort", () => {
    for (const row of rows) row.stop("over"); // what has arrived stays with the service, to be resumed
    list.replaceChildren();
  }, { once: true });
}

export const { mount, unmount } = panel((host, /** @type {import("../state.js").SlidesStore} */ store, life) => {
  store.watch((state) => Boolean(state.me), (signedIn, current) => {
    host.hidden = !signedIn;
    if (signedIn) show(host, store, current);
  }, life);
});
