// Tiles whose request failed: OpenSeadragon requests them again, and this draws the ones that then arrive.

/** A sandboxed reader that ended is running again after about a second. */
export const RETRIES = Object.freeze({ tileRetryMax: 4, tileRetryDelay: 2000 });

/** @typedef {import("openseadragon").TileLoadFailedEvent & { tries?: number }} Failure */

/**
 * Whether a tile is given up. The event's own `maxReached` is true one try early.
 * @param {Failure} event
 */
export const isGivenUp = ({ tries = 0 }) => tries > RETRIES.tileRetryMax;

/**
 * Has an image look for tiles to load and to draw. OpenSeadragon takes an image whose other tiles are loaded for
 * complete, and does not look again for a tile that arrives by a retry. Setting the clip, even to the same, does that.
 * @param {import("openseadragon").TiledImage} image
 */
export const refresh = (image) => image.setClip(image.getClip());

/** Draws tiles that arrive by a retry. @param {import("openseadragon").Viewer} viewer */
export function drawRecovered(viewer) {
  /** @type {Set<import("openseadragon").Tile>} */
  const failed = new Set();
  viewer.addHandler("tile-load-failed", ({ tile }) => failed.add(tile));
  viewer.addHandler("tile-loaded", (event) => {
    const { tile, tiledImage, promise } = /** @type {typeof event & { promise: Promise<unknown> }} */ (event);
    if (failed.delete(tile)) promise.then(() => refresh(tiledImage));
  });
}
