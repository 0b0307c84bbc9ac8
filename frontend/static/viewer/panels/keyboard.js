// The keyboard, and the sheet that explains it. The page gives it the store of the viewer that the keys go to.
import { part } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";
import { turn } from "../link/address.js";
import { profileCell, stepRegion } from "../state.js";

/** Whether a key belongs to something else. @param {KeyboardEvent} event */
const isForeign = ({ ctrlKey, metaKey, altKey, target }) =>
  ctrlKey || metaKey || altKey || target instanceof HTMLInputElement || target instanceof HTMLSelectElement;

/** Turns the view clockwise to the next quarter turn. @param {import("../state.js").ViewerStore} store */
function turnView(store) {
  const viewport = store.get().viewer?.viewport;
  viewport?.setRotation(90 * (Math.floor(turn(viewport.getRotation()) / 90) + 1));
}

export const { mount, unmount } = panel((host, /** @type {import("../state.js").ViewerStore} */ store, life) => {
  const sheet = part(host, "keys", HTMLDialogElement);
  const help = () => sheet.open || sheet.showModal();
  /** @type {Record<string, (event: KeyboardEvent) => void>} */
  const actions = {
    h: () => store.set({ heatVisible: !store.get().heatVisible }),
    t: () => store.set({ maskVisible: !store.get().maskVisible }),
    r: () => turnView(store),
    n: () => stepRegion(store, 1),
    b: () => stepRegion(store, -1),
    p: (event) => event.repeat || profileCell(store),
    "?": help,
  };
  part(host, "help").addEventListener("click", help, { signal: life });
  document.addEventListener("keydown", (event) => {
    if (!isForeign(event)) actions[event.key.toLowerCase()]?.(event);
  }, { signal: life });
  life.addEventListener("abort", () => sheet.close(), { once: true });
});
