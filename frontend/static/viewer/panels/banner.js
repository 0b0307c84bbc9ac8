// Where the slide lies outside the network's scope, what limits the answer, or that the analysis was made at another
// scale, in sentences. A tissue mask of an earlier version is made anew here.
import { Refusal, request } from "../../shared/http.js";
import { make } from "../../shared/dom.js";
import { panel, pause } from "../../shared/panel.js";
import { explain } from "../../shared/words.js";
import { report } from "../state.js";

/** @typedef {import("../state.js").ViewerStore} ViewerStore */

const POLL_MS = 500;
const NEW_MASK = "The slide has a new tissue mask. Analyse it again to use it.";

/** Inspects the slide again and waits for the end. @param {ViewerStore} store @param {AbortSignal} signal */
async function inspect(store, signal) {
  const path = { slide_id: store.get().slideId };
  let slide = await request("post", "/api/v1/slides/{slide_id}/inspect", { path, signal });
  while (slide.state === "inspecting") {
    await pause(POLL_MS, signal);
    slide = await request("get", "/api/v1/slides/{slide_id}", { path, signal });
  }
  if (slide.reason) throw new Error(explain(slide.reason));
  const { maskVisible } = store.get();
  store.set({ slide, maskVisible: false });
  store.set({ maskVisible }); // the mask that lies there is the former one
}

/** @param {ViewerStore} store @param {HTMLElement} line @param {AbortSignal} life */
function offerInspection(store, line, life) {
  const button = make("button", "", "Inspect the slide again");
  button.addEventListener("click", async () => {
    button.disabled = true;
    button.textContent = "Inspecting…";
    store.set({ error: "" });
    try {
      await inspect(store, life);
      line.textContent = NEW_MASK;
    } catch (error) {
      if (error instanceof Refusal && error.code === "nothing-to-inspect") return (line.textContent = NEW_MASK); // done before
      button.disabled = false;
      button.textContent = "Inspect the slide again";
      report(store, error);
    }
  }, { signal: life });
  line.append(" ", button);
}

export const { mount, unmount } = panel((host, /** @type {ViewerStore} */ store, life) => {
  store.watch((state) => state.analysis, (analysis, current) => {
    const mark = analysis?.scale.statement;
    const notes = [...(mark ? [mark] : []), ...(analysis?.results?.scope_notes ?? [])];
    host.replaceChildren(...notes.map((note) => {
      const line = make("p", "", note.sentence);
      if (note.code === "tissue-outdated") offerInspection(store, line, current);
      return line;
    }));
    host.hidden = !notes.length;
  }, life);
});
