// What went wrong last.
import { showText } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";

export const { mount, unmount } = panel((host, /** @type {import("../state.js").ViewerStore} */ store, life) => {
  store.watch((state) => state.error, (error) => showText(host, error), life);
});
