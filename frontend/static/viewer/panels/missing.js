// Tiles that could not be loaded, counted, with a way to try again. Without it they would look like empty glass.
import { part, say } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";
import { TILE_RETRIES } from "./stage.js";

/** @param {number} count */
const describe = (count) => (count ? `${count} ${count === 1 ? "image tile" : "image tiles"} could not be loaded.` : "");

/** @param {HTMLElement} host @param {import("openseadragon").Viewer} viewer @param {AbortSignal} life */
function watchTiles(host, viewer, life) {
  /** @type {Set<import("openseadragon").Tile>} */
  const missing = new Set();
  const show = () => {
    say(part(host, "missing-text"), describe(missing.size));
    host.hidden = missing.size === 0;
  };
  /** @param {import("openseadragon").TileLoadFailedEvent & { tries?: number }} event */
  const failed = ({ tile, tries = 0 }) => {
    // Its own `maxReached` is true one try early.
    if (tries > TILE_RETRIES) missing.add(tile);
    show();
  };
  /** @param {import("openseadragon").TileEvent} event */
  const loaded = ({ tile }) => {
    if (missing.delete(tile)) show();
  };
  viewer.addHandler("tile-load-failed", failed);
  viewer.addHandler("tile-loaded", loaded);
  part(host, "missing-retry").addEventListener("click", () => {
    for (const tile of missing) tile.exists = true; // a tile that failed is not requested again while this is false
    missing.clear();
    show();
    viewer.forceRedraw();
  }, { signal: life });
  life.addEventListener("abort", () => {
    viewer.removeHandler("tile-load-failed", failed);
    viewer.removeHandler("tile-loaded", loaded);
    host.hidden = true;
  }, { once: true });
  show();
}

export const { mount, unmount } = panel((host, /** @type {import("../state.js").ViewerStore} */ store, life) => {
  store.watch((state) => state.viewer, (viewer, current) => viewer && watchTiles(host, viewer, current), life);
});
