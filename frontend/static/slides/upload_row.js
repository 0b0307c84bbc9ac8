// One upload: its row in the list, and the digest and requests behind it.
import { make } from "../shared/dom.js";
import { address, isAbort } from "../shared/http.js";
import { explain, message, percent, size } from "../shared/words.js";
import { NoDigest, digest } from "./digest.js";
import { hasNamesake, keyOf, namelessStorage } from "./resumption.js";

/** @typedef {import("tus-js-client").HttpRequest} HttpRequest */

const CHUNK = 32 * 1024 * 1024; // bytes
const RETRIES_MS = [0, 1000, 3000, 5000, 10000, 20000];
const OTHER_FILE = "Another file of this name and size is not completely uploaded. This one has another SHA-256 and is sent by itself.";
const NOT_RESUMED = "The earlier upload does not take this file. It is sent by itself, from its start.";

/** Why an upload stopped. @param {Error | import("tus-js-client").DetailedError} error */
function describe(error) {
  if (!("originalRequest" in error)) return message(error);
  if (!error.originalResponse) return "the connection was lost";
  try {
    return explain(JSON.parse(error.originalResponse.getBody()));
  } catch {
    return `the service answered ${error.originalResponse.getStatus()}`;
  }
}

/** The elements of a row. @param {File} file */
function draw(file) {
  const [item, bar, text, note] = [make("li", "slide"), make("progress"), make("div", "facts", "waiting"), make("div", "note")];
  const [pause, cancel] = [make("button", "", "Pause"), make("button", "", "Cancel")];
  const [middle, actions] = [make("div"), make("div", "actions")];
  middle.append(make("div", "name", file.name), bar, text, note);
  actions.append(pause, cancel);
  item.append(make("div", "thumb", "↑"), middle, actions);
  note.hidden = true;
  bar.max = Math.max(1, file.size);
  bar.setAttribute("aria-label", `Upload of ${file.name}`);
  return { item, bar, text, note, pause, cancel };
}

export class UploadRow {
  /**
   * @param {File} file @param {import("./digest.js").Queue} digests in which the file waits for its digest
   * @param {(complete: boolean) => void} over called once, when the slide is complete or the upload cancelled
   */
  constructor(file, digests, over) {
    this.file = file;
    this.digests = digests;
    this.over = over;
    this.parts = draw(file);
    this.parts.pause.addEventListener("click", () => this.toggle());
    this.parts.cancel.addEventListener("click", () => this.cancel());
    this.life = new AbortController();
    this.state = /** @type {"running" | "paused" | "over"} */ ("running");
    this.started = false; // whether the library has been told to send
    this.upload = /** @type {import("tus-js-client").Upload | null} */ (null);
    this.prepared = /** @type {Promise<import("tus-js-client").Upload> | null} */ (null);
    this.start();
  }

  /** Computes the digest, then looks for an earlier upload of the same bytes. */
  async prepare() {
    const sha256 = await this.digests.add(() => this.digest());
    const key = keyOf(this.file, sha256);
    this.upload = this.open(sha256, key);
    const earlier = await this.upload.findPreviousUploads().catch(() => []); // without it the file is sent from its start
    if (earlier.length) this.upload.resumeFromPreviousUpload(earlier[0]);
    else if (sha256 && (await hasNamesake(this.file, key).catch(() => false))) this.remark(OTHER_FILE);
    return this.upload;
  }

  /** @returns {Promise<string | null>} null: the browser cannot compute it, which the row says */
  async digest() {
    try {
      return await digest(this.file, (bytes) => this.reading(bytes), this.life.signal);
    } catch (error) {
      if (!(error instanceof NoDigest)) throw error;
      this.remark(`Sent without its SHA-256, by which the service would know the file again: ${error.message}.`);
      return null;
    }
  }

  /** @param {string | null} sha256 @param {string} key */
  open(sha256, key) {
    return new tus.Upload(this.file, {
      endpoint: address("/api/v1/uploads"),
      chunkSize: CHUNK,
      retryDelays: RETRIES_MS,
      metadata: { filename: this.file.name, ...(sha256 ? { sha256 } : {}) },
      removeFingerprintOnSuccess: true,
      fingerprint: () => Promise.resolve(key),
      urlStorage: namelessStorage(this.file),
      onProgress: (done) => this.sending(done),
      onBeforeRequest: (request) => this.permit(request, sha256),
      onAfterResponse: (request, response) => this.receive(request, response),
      onSuccess: () => this.end(true),
      onError: (error) => this.failed(error),
    });
  }

  /** Sends, unless the upload was paused, cancelled or left meanwhile. */
  async start() {
    try {
      const upload = await (this.prepared ??= this.prepare());
      if (this.state !== "running" || this.started) return;
      this.started = true;
      upload.start();
    } catch (error) {
      this.prepared = null;
      if (!isAbort(error)) this.failed(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Names the file in each request that resumes, so that the service refuses another one. Holds a request back for ever
   * when it comes too late: the library forgets a stop while it opens the file.
   * @param {HttpRequest} request @param {string | null} sha256 @returns {Promise<void>} */
  permit(request, sha256) {
    const method = request.getMethod();
    if (sha256 && method !== "POST") request.setHeader("Upload-Metadata", `sha256 ${btoa(sha256)}`);
    const permitted = this.state === "running" || method === "DELETE";
    return permitted ? Promise.resolve() : new Promise(() => undefined);
  }

  /** The library creates a new upload when the service refuses to resume one. @param {HttpRequest} request
   * @param {import("tus-js-client").HttpResponse} response */
  receive(request, response) {
    if (request.getMethod() === "HEAD" && response.getStatus() === 409) this.remark(NOT_RESUMED);
  }

  /** @param {"paused" | "over"} state @param {boolean} [remove] also from the service */
  async stop(state, remove = false) {
    this.state = state;
    this.started = false;
    if (state === "over") this.life.abort();
    await this.upload?.abort(remove);
  }

  /** @param {boolean} complete */
  end(complete) {
    this.state = "over";
    this.parts.item.remove();
    this.over(complete);
  }

  /** @param {string} text */
  remark(text) {
    this.parts.note.textContent = text;
    this.parts.note.hidden = false;
  }

  /** @param {number} bytes */
  reading(bytes) {
    if (this.state === "running") this.parts.text.textContent = `computing its SHA-256: ${percent(bytes / Math.max(1, this.file.size))}`;
  }

  /** @param {number} bytes */
  sending(bytes) {
    this.parts.bar.value = bytes;
    this.parts.text.textContent = `${size(bytes)} of ${size(this.file.size)}`;
  }

  async toggle() {
    this.parts.text.className = "facts";
    const running = this.state === "running";
    this.parts.pause.textContent = running ? "Resume" : "Pause";
    if (running) {
      await this.stop("paused");
      if (this.state === "paused") this.parts.text.textContent = "paused";
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
    this.parts.text.textContent = `Stopped: ${describe(error)}.`;
    this.parts.text.className = "reason";
    this.state = "paused";
    this.started = false;
    this.parts.pause.textContent = "Try again";
  }
}
