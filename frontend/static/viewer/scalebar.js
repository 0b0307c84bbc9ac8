// The scale bar shows the longest round length that fits.

const MAX_PX = 160;

/** @param {HTMLElement} place @param {number} umPerScreenPx */
export function drawScale(place, umPerScreenPx) {
  const longest = umPerScreenPx * MAX_PX;
  const power = 10 ** Math.floor(Math.log10(longest));
  const length = ([5, 2, 1].find((n) => n * power <= longest) ?? 1) * power;
  const line = /** @type {HTMLElement} */ (place.querySelector(".line"));
  const text = /** @type {HTMLElement} */ (place.querySelector("span"));
  line.style.width = `${length / umPerScreenPx}px`;
  text.textContent = length >= 1000 ? `${length / 1000} mm` : `${Number(length.toPrecision(2))} µm`;
  place.hidden = false;
}
