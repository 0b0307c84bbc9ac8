// Uploads: drag and drop, and one row for each file with its progress, pause, resume and cancel.
import { make, part } from "../../shared/dom.js";
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
  /** @param {File} file @param {() => void} done called when the slide is complete */
  constructor(file, done) {
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
    this.paused = false;
    this.upload = this.prepare(file, done);
    this.pause.addEventListener("click", () => this.toggle());
    cancel.addEventListener("click", () => this.cancel());
    this.start();
  }

  /** @param {File} file @param {() => void} done */
  prepare(file, done) {
    return new tus.Upload(file, {
      endpoint: "/api/v1/uploads",
      chunkSize: CHUNK,
      retryDelays: RETRIES_MS,
      metadata: { filename: file.name },
      removeFingerprintOnSuccess: true,
      fingerprint,
      urlStorage: namelessStorage(),
      onProgress: (done) => this.progress(done, file.size),
      onSuccess: () => {
        this.item.remove();
        done();
      },
      onError: (error) => this.failed(error),
    });
  }

  /** Resumes an earlier upload of the same file, where there is one. */
  async start() {
    const earlier = await this.upload.findPreviousUploads();
    if (earlier.length) this.upload.resumeFromPreviousUpload(earlier[0]);
    this.upload.start();
  }

  /** @param {number} done @param {number} total bytes */
  progress(done, total) {
    this.bar.value = done;
    this.text.textContent = `${size(done)} of ${size(total)}`;
  }

  async toggle() {
    this.paused = !this.paused;
    this.pause.textContent = this.paused ? "Resume" : "Pause";
    this.text.className = "facts";
    if (this.paused) await this.upload.abort();
    else this.upload.start();
    if (this.paused) this.text.textContent = "paused";
  }

  async cancel() {
    await this.upload.abort(true).catch(() => undefined); // the service also removes it after some days
    this.item.remove();
  }

  /** @param {Error | import("tus-js-client").DetailedError} error */
  failed(error) {
    this.text.textContent = `Stopped: ${describe(error)}.`;
    this.text.className = "reason";
    this.paused = true;
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
      const row = new Row(file, () => changed(store));
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
    for (const row of rows) row.upload.abort(); // what has arrived stays with the service, to be resumed
    list.replaceChildren();
  }, { once: true });
}

export const { mount, unmount } = panel((host, /** @type {import("../state.js").SlidesStore} */ store, life) => {
  store.watch((state) => Boolean(state.me), (signedIn, current) => {
    host.hidden = !signedIn;
    if (signedIn) show(host, store, current);
  }, life);
});
