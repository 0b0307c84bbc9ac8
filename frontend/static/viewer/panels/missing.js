// Tiles that could not be loaded, counted, with a way to try again. Without it they would look like empty glass.
import { part, showText } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";
import { isGivenUp, refresh } from "../retries.js";

/** @param {number} count */
const describe = (count) => (count ? `${count} ${count === 1 ? "image tile" : "image tiles"} could not be loaded.` : "");

/** @param {HTMLElement} host @param {import("openseadragon").Viewer} viewer @param {AbortSignal} life */
function watchTiles(host, viewer, life) {
  /** @type {Map<import("openseadragon").Tile, import("openseadragon").TiledImage>} */
  const missing = new Map();
  const views = [viewer, viewer.navigator]; // the navigator loads tiles of its own, which are not counted
  const show = () => {
    const count = [...missing.values()].filter((image) => image === viewer.world.getItemAt(0)).length;
    showText(part(host, "missing-text"), describe(count));
    host.hidden = count === 0;
  };
  /** @param {import("../retries.js").Failure} event */
  const failed = (event) => {
    if (isGivenUp(event)) missing.set(event.tile, event.tiledImage);
    show();
  };
  /** @param {import("openseadragon").TileEvent} event */
  const loaded = ({ tile }) => missing.delete(tile) && show();
  views.forEach((view) => view.addHandler("tile-load-failed", failed));
  views.forEach((view) => view.addHandler("tile-loaded", loaded));
  part(host, "missing-retry").addEventListener("click", () => {
    for (const tile of missing.keys()) tile.exists = true; // a tile that failed is not requested again while this is false
    const images = new Set(missing.values());
    missing.clear();
    images.forEach(refresh);
    show();
  }, { signal: life });
  life.addEventListener("abort", () => {
    views.forEach((view) => view.removeHandler("tile-load-failed", failed));
    views.forEach((view) => view.removeHandler("tile-loaded", loaded));
    host.hidden = true;
  }, { once: true });
  show();
}

export const { mount, unmount } = panel((host, /** @type {import("../state.js").ViewerStore} */ store, life) => {
  store.watch((state) => state.viewer, (viewer, current) => viewer && watchTiles(host, viewer, current), life);
});
