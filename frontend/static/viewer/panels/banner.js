// Where the slide lies outside the network's scope, or the analysis was made at another scale, in sentences.
import { make } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";

export const { mount, unmount } = panel((host, /** @type {import("../state.js").ViewerStore} */ store, life) => {
  store.watch((state) => state.analysis, (analysis) => {
    const mark = analysis?.scale.statement;
    const notes = [...(mark ? [mark] : []), ...(analysis?.results?.scope_notes ?? [])];
    host.replaceChildren(...notes.map((note) => make("p", "", note.sentence)));
    host.hidden = !notes.length;
  }, life);
});
