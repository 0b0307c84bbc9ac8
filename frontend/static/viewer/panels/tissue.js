// The tissue mask as a layer over the slide: it shades what analyses of tissue leave out, and says how much of each kind.
import { part } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";
import { percent } from "../../shared/words.js";
import { KINDS, TissueMask } from "../mask.js";
import { report } from "../state.js";

/** @param {HTMLElement} host @param {TissueMask} mask */
function describe(host, mask) {
  const shares = mask.shares();
  part(host, "kinds").replaceChildren(...KINDS.flatMap(({ name, colour, about }, kind) => {
    if (!shares[kind]) return [];
    const item = document.createElement("li");
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.backgroundColor = `rgb(${colour.slice(0, 3).join(" ")} / ${colour[3] / 255})`;
    item.append(swatch, `${name}: ${percent(shares[kind])} of the slide, ${about}`);
    return [item];
  }));
}

/** Shows the mask until `life` aborts. @param {HTMLElement} host @param {import("../state.js").ViewerStore} store @param {AbortSignal} life */
async function show(host, store, life) {
  const { slideId, viewer } = store.get();
  if (!viewer) return;
  const mask = await TissueMask.read(slideId, life);
  life.throwIfAborted();
  mask.layOver(viewer, life);
  describe(host, mask);
  life.addEventListener("abort", () => part(host, "kinds").replaceChildren(), { once: true });
}

export const { mount, unmount } = panel((host, /** @type {import("../state.js").ViewerStore} */ store, life) => {
  const box = part(host, "show-mask", HTMLInputElement);
  box.addEventListener("input", () => store.set({ maskVisible: box.checked }), { signal: life });
  store.watch(({ viewer, slide }) => Boolean(viewer && slide?.mpp_x), (possible) => { host.hidden = !possible; }, life);
  store.watch(({ viewer, maskVisible }) => (maskVisible ? viewer : null), (viewer, current) => {
    box.checked = Boolean(viewer);
    if (!viewer) return;
    show(host, store, current).catch((error) => {
      store.set({ maskVisible: false });
      report(store, error);
    });
  }, life);
});
