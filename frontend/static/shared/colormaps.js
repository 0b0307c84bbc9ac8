// Colour maps as look-up tables of 255 colours, each from nine anchors (perceptually even; never jet).

const ANCHORS = {
  viridis: ["440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"],
  magma: ["000004", "1d1147", "51127c", "832681", "b73779", "e75263", "fc8961", "fec488", "fcfdbf"],
  greys: ["ffffff", "e6e6e6", "cccccc", "b0b0b0", "929292", "727272", "515151", "2f2f2f", "000000"],
};

export const names = Object.keys(ANCHORS);

/** @param {string} name @returns {Uint8Array} 255 × RGB */
export function table(name) {
  const anchors = /** @type {Record<string, string[]>} */ (ANCHORS)[name] ?? ANCHORS.viridis;
  const colours = anchors.map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  const out = new Uint8Array(255 * 3);
  for (let value = 0; value < 255; value++) {
    const place = (value / 254) * (colours.length - 1);
    const low = Math.min(Math.floor(place), colours.length - 2);
    for (let c = 0; c < 3; c++) {
      out[3 * value + c] = Math.round(colours[low][c] + (place - low) * (colours[low + 1][c] - colours[low][c]));
    }
  }
  return out;
}
