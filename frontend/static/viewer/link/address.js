// A link holds the view: what the part of the address after "#" says, and how it is written. It never reaches the service.

/**
 * @typedef {object} Link  a field is undefined where the address says nothing, or nothing that can be used
 * @property {string} [analysis]  id
 * @property {number} [x]  of the centre, in level-0 px
 * @property {number} [y]
 * @property {number} [zoom]  screen px of one level-0 px
 * @property {number} [rotation]  of the view, in degrees clockwise, in [0, 360)
 * @property {"score" | "strangeness"} [layer]
 * @property {boolean} [heat]  whether the layer is visible
 * @property {boolean} [mask]  whether the tissue mask is visible
 * @property {number} [threshold]  in [0, 1]
 */

/** @param {number} degrees */
export const turn = (degrees) => ((degrees % 360) + 360) % 360;

/** @param {string | null} text @param {(value: number) => boolean} isUsable */
function number(text, isUsable) {
  const value = Number(text);
  return text?.trim() && Number.isFinite(value) && isUsable(value) ? value : undefined;
}

/** @param {string | null} text */
const flag = (text) => (text === "0" || text === "1" ? text === "1" : undefined);

/** @param {string} hash @returns {Link} */
export function parse(hash) {
  const values = new URLSearchParams(hash.replace(/^#/, ""));
  const layer = values.get("layer");
  const rotation = number(values.get("rotation"), () => true);
  return {
    analysis: values.get("analysis") || undefined,
    x: number(values.get("x"), (value) => value >= 0),
    y: number(values.get("y"), (value) => value >= 0),
    zoom: number(values.get("zoom"), (value) => value > 0),
    rotation: rotation === undefined ? undefined : turn(rotation),
    layer: layer === "score" || layer === "strangeness" ? layer : undefined,
    heat: flag(values.get("heat")),
    mask: flag(values.get("mask")),
    threshold: number(values.get("threshold"), (value) => value >= 0 && value <= 1),
  };
}

/** @param {Link} link @returns {string} with its "#"; rounded to less than what a screen shows */
export function format({ analysis, x, y, zoom, rotation, layer, heat, mask, threshold }) {
  const places = (/** @type {number | undefined} */ value, /** @type {number} */ count) => (value === undefined ? undefined : String(Number(value.toFixed(count))));
  const bit = (/** @type {boolean | undefined} */ value) => (value === undefined ? undefined : String(Number(value)));
  const values = {
    analysis, x: places(x, 1), y: places(y, 1), zoom: zoom === undefined ? undefined : String(Number(zoom.toPrecision(5))),
    rotation: places(rotation, 1), layer, heat: bit(heat), mask: bit(mask), threshold: places(threshold, 4),
  };
  const pairs = Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
  return `#${new URLSearchParams(pairs)}`;
}
