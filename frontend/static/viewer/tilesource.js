// The slide's own levels and tile sizes as an OpenSeadragon tile source, without Deep Zoom levels between.

/** @param {import("../shared/types").Tiles} tiles levels finest first */
export function tileSource(tiles) {
  const levels = [...tiles.levels].reverse(); // OpenSeadragon counts from the coarsest
  const last = levels.length - 1;
  const source = new OpenSeadragon.TileSource({
    width: tiles.width,
    height: tiles.height,
    tileWidth: levels[last].tile_width,
    tileHeight: levels[last].tile_height,
    tileOverlap: 0,
    minLevel: 0,
    maxLevel: last,
  });
  return Object.assign(source, {
    getLevelScale: (/** @type {number} */ level) => 1 / levels[level].downsample_x,
    getTileWidth: (/** @type {number} */ level) => levels[level].tile_width,
    getTileHeight: (/** @type {number} */ level) => levels[level].tile_height,
    getNumTiles: (/** @type {number} */ level) => {
      const { width, height, tile_width, tile_height } = levels[level];
      return new OpenSeadragon.Point(Math.ceil(width / tile_width), Math.ceil(height / tile_height));
    },
    getTileUrl: (/** @type {number} */ level, /** @type {number} */ col, /** @type {number} */ row) =>
      tiles.tile_url.replace("{level}", String(last - level)).replace("{col}", String(col)).replace("{row}", String(row)) +
      `?v=${tiles.version}`,
  });
}
