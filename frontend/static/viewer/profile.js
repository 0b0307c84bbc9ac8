// Score against angle at one cell, measured on demand.
import { element, get, post } from "../shared/http.js";

/**
 * @param {string} analysis @param {{ row: number, col: number }} cell
 * @param {() => boolean} wanted whether its answer is still to be shown
 */
export async function measure(analysis, cell, wanted) {
  const text = element("angle-text");
  text.textContent = `Measuring cell (${cell.row}, ${cell.col})…`;
  let profile = await post(`/analyses/${analysis}/profiles`, { row: cell.row, col: cell.col });
  while (wanted() && !["done", "failed", "cancelled"].includes(profile.state)) {
    await new Promise((done) => setTimeout(done, 400));
    profile = await get(`/analyses/${analysis}/profiles/${profile.id}`);
  }
  if (!wanted()) return;
  if (profile.state !== "done") throw new Error(`the profile could not be measured: ${profile.reason?.detail ?? profile.state}`);
  const { scores, angles_deg: angles, spread } = profile.result;
  const quarter = scores.filter((/** @type {number} */ _, /** @type {number} */ i) => angles[i] % 90 === 0);
  const exact = Math.max(...quarter) - Math.min(...quarter);
  text.textContent =
    `Cell (${cell.row}, ${cell.col}): quarter turns differ by ${exact.toExponential(0)}; ` +
    `over all angles the score moves by ${spread.toFixed(3)} (resampling and rotation together).`;
  draw(angles, scores);
}

/** @param {number[]} angles @param {number[]} scores */
function draw(angles, scores) {
  const canvas = /** @type {HTMLCanvasElement} */ (element("profile"));
  canvas.hidden = false;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const { width, height } = canvas;
  const x = (/** @type {number} */ angle) => 50 + ((width - 70) * angle) / 360;
  const y = (/** @type {number} */ score) => height - 36 - (height - 56) * score;
  context.clearRect(0, 0, width, height);
  context.font = "20px system-ui";
  context.strokeStyle = "#dcd8e6";
  context.fillStyle = "#625c75";
  for (const score of [0, 0.5, 1]) {
    context.strokeRect(50, y(score), width - 70, 0);
    context.fillText(String(score), 8, y(score) + 7);
  }
  for (const angle of [0, 90, 180, 270]) context.fillText(`${angle}°`, x(angle) - 12, height - 8);
  context.strokeStyle = "#5a3fb0";
  context.lineWidth = 3;
  context.beginPath();
  [...angles, 360].forEach((angle, i) => context.lineTo(x(angle), y(scores[i % scores.length])));
  context.stroke();
  context.fillStyle = "#5a3fb0";
  angles.forEach((angle, i) => {
    if (angle % 90) return;
    context.beginPath();
    context.arc(x(angle), y(scores[i]), 7, 0, 7);
    context.fill();
  });
}
