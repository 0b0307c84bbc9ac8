// Draws the score of one cell at each angle.
import { pen } from "../shared/dom.js";

const [LEFT, RIGHT, TOP, BOTTOM] = [50, 20, 20, 36]; // margins in canvas px

/**
 * @param {HTMLCanvasElement} canvas @param {number[]} angles in degrees, from 0 up, below 360
 * @param {number[]} scores in [0, 1], one for each angle
 */
export function drawProfile(canvas, angles, scores) {
  const context = pen(canvas);
  const { width, height } = canvas;
  const x = (/** @type {number} */ angle) => LEFT + ((width - LEFT - RIGHT) * angle) / 360;
  const y = (/** @type {number} */ score) => height - BOTTOM - (height - TOP - BOTTOM) * score;
  context.clearRect(0, 0, width, height);
  context.font = "20px system-ui";
  context.strokeStyle = "#dcd8e6";
  context.fillStyle = "#625c75";
  for (const score of [0, 0.5, 1]) {
    context.strokeRect(LEFT, y(score), width - LEFT - RIGHT, 0);
    context.fillText(String(score), 8, y(score) + 7);
  }
  for (const angle of [0, 90, 180, 270]) context.fillText(`${angle}°`, x(angle) - 12, height - 8);
  context.strokeStyle = context.fillStyle = "#5a3fb0";
  context.lineWidth = 3;
  context.beginPath();
  [...angles, 360].forEach((angle, i) => context.lineTo(x(angle), y(scores[i % scores.length])));
  context.stroke();
  angles.forEach((angle, i) => {
    if (angle % 90) return;
    context.beginPath();
    context.arc(x(angle), y(scores[i]), 7, 0, 7);
    context.fill();
  });
}
