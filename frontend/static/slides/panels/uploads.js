// Uploads: drag and drop, and one row for each file with its progress, pause, resume and cancel.
import { part } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";
import { Queue } from "../digest.js";
import { changed } from "../state.js";
import { UploadRow } from "../upload_row.js";

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
  const digests = new Queue();
  /** @type {Set<UploadRow>} */
  const rows = new Set();
  const add = (/** @type {FileList | null | undefined} */ files) => {
    for (const file of files ?? []) {
      const row = new UploadRow(file, digests, (complete) => {
        rows.delete(row);
        if (complete) changed(store);
      });
      rows.add(row);
      list.append(row.parts.item);
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
