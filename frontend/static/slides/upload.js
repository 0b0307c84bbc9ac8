// Drag and drop, and one row for each file on its way: progress, pause, go on, give up.
import { element, make, size } from "../shared/http.js";

const CHUNK = 32 * 1024 * 1024;
const RETRIES_MS = [0, 1000, 3000, 5000, 10000, 20000];

/** What is kept to go on after the page was closed. Names of files stay in no shared browser: neither here …
 * @param {File} file */
async function fingerprint(file) {
  const told = new TextEncoder().encode([file.name, file.type, file.size, file.lastModified].join("\n"));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", told));
  return `tus-${Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** … nor there. @type {any} */
const storage = tus.defaultOptions.urlStorage;
const nameless = {
  findAllUploads: () => storage.findAllUploads(),
  /** @param {string} key */
  findUploadsByFingerprint: (key) => storage.findUploadsByFingerprint(key),
  /** @param {string} key */
  removeUpload: (key) => storage.removeUpload(key),
  /** @param {string} key @param {any} upload */
  addUpload: (key, upload) => storage.addUpload(key, { ...upload, metadata: {} }),
};

/** @param {() => void} uploaded called when a slide has arrived */
export function watchDrops(uploaded) {
  const zone = element("drop");
  const input = /** @type {HTMLInputElement} */ (element("files"));
  element("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    send(input.files, uploaded);
    input.value = "";
  });
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => event.relatedTarget || zone.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    send(event.dataTransfer?.files, uploaded);
  });
}

/** @param {FileList | null | undefined} files @param {() => void} uploaded */
function send(files, uploaded) {
  for (const file of files ?? []) element("uploads").append(new Row(file, uploaded).item);
}

class Row {
  /** @param {File} file @param {() => void} uploaded */
  constructor(file, uploaded) {
    this.item = make("li", "slide");
    this.bar = document.createElement("progress");
    this.text = make("div", "facts", "waiting");
    this.pause = make("button", "", "Pause");
    const cancel = make("button", "", "Cancel");
    const middle = make("div");
    middle.append(make("div", "name", file.name), this.bar, this.text);
    const actions = make("div", "actions");
    actions.append(this.pause, cancel);
    this.item.append(make("div", "thumb", "↑"), middle, actions);
    this.bar.max = Math.max(1, file.size);
    this.paused = false;
    this.upload = new tus.Upload(file, {
      endpoint: "/api/v1/uploads",
      chunkSize: CHUNK,
      retryDelays: RETRIES_MS,
      metadata: { filename: file.name },
      removeFingerprintOnSuccess: true,
      fingerprint: fingerprint,
      urlStorage: nameless,
      onProgress: (sent) => this.progress(sent, file.size),
      onSuccess: () => {
        this.item.remove();
        uploaded();
      },
      onError: (error) => this.failed(error),
    });
    this.pause.addEventListener("click", () => this.toggle());
    cancel.addEventListener("click", () => this.cancel());
    this.start();
  }

  /** Go on where an earlier try of the same file stopped, if there was one. */
  async start() {
    const earlier = await this.upload.findPreviousUploads();
    if (earlier.length) this.upload.resumeFromPreviousUpload(earlier[0]);
    this.upload.start();
  }

  /** @param {number} sent @param {number} total */
  progress(sent, total) {
    this.bar.value = sent;
    this.text.textContent = `${size(sent)} of ${size(total)}`;
  }

  async toggle() {
    this.paused = !this.paused;
    this.pause.textContent = this.paused ? "Go on" : "Pause";
    if (this.paused) await this.upload.abort();
    else this.upload.start();
    if (this.paused) this.text.textContent = "paused";
  }

  async cancel() {
    await this.upload.abort(true).catch(() => undefined);
    this.item.remove();
  }

  /** @param {Error | import("tus-js-client").DetailedError} error */
  failed(error) {
    let sentence = "the connection was lost";
    if ("originalResponse" in error && error.originalResponse) {
      try {
        const problem = JSON.parse(error.originalResponse.getBody());
        sentence = [problem.detail, problem.action].filter(Boolean).join("; ");
      } catch {
        sentence = `the service answered ${error.originalResponse.getStatus()}`;
      }
    }
    this.text.textContent = `Stopped: ${sentence}.`;
    this.text.className = "reason";
    this.paused = true;
    this.pause.textContent = "Try again";
  }
}
