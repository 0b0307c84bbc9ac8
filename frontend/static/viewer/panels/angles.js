// Score against angle at one cell, measured on demand.
import { request } from "../../shared/http.js";
import { part } from "../../shared/dom.js";
import { panel, pause } from "../../shared/panel.js";
import { drawProfile } from "../chart.js";
import { displayed, profileCell, report } from "../state.js";

const POLL_MS = 400;

/**
 * @param {string} analysisId @param {import("../state.js").Cell} cell @param {AbortSignal} signal
 * @returns {Promise<import("../../shared/types").Profile>}
 */
async function measure(analysisId, { row, col }, signal) {
  const path = { analysis_id: analysisId };
  let profile = await request("post", "/api/v1/analyses/{analysis_id}/profiles", { path, body: { row, col }, signal });
  while (!["done", "failed", "cancelled"].includes(profile.state)) {
    await pause(POLL_MS, signal);
    profile = await request("get", "/api/v1/analyses/{analysis_id}/profiles/{profile_id}", { path: { ...path, profile_id: profile.id }, signal });
  }
  if (!profile.result) throw new Error(`The score against angle could not be measured: ${profile.reason?.detail ?? profile.state}`);
  return profile.result;
}

/** @param {import("../state.js").Cell} cell @param {import("../../shared/types").Profile} profile */
function describe({ row, col }, { scores, angles_deg: angles, spread }) {
  const quarter = scores.filter((_, i) => angles[i] % 90 === 0);
  const exact = Math.max(...quarter) - Math.min(...quarter);
  return `Cell (${row}, ${col}): quarter turns differ by ${exact.toExponential(0)}. ` +
    `Over all angles the score moves by ${spread.toFixed(3)} (resampling and rotation together).`;
}

export const { mount, unmount } = panel((host, /** @type {import("../state.js").ViewerStore} */ store, life) => {
  const button = part(host, "measure", HTMLButtonElement);
  const chart = part(host, "profile", HTMLCanvasElement);
  const [help, text] = [part(host, "angle-help"), part(host, "angle-text")];
  const clear = () => ([help.hidden, text.hidden, chart.hidden] = [false, true, true]);
  /** @param {import("../state.js").Cell} cell @param {AbortSignal} signal */
  const show = async (cell, signal) => {
    const analysis = displayed(store.get());
    if (!analysis) return;
    [help.hidden, text.hidden, chart.hidden] = [true, false, true]; // no chart of another cell beside this one's text
    text.textContent = `Measuring cell (${cell.row}, ${cell.col})…`;
    const profile = await measure(analysis.id, cell, signal);
    text.textContent = describe(cell, profile);
    chart.hidden = false;
    drawProfile(chart, profile.angles_deg, profile.scores);
  };
  button.addEventListener("click", () => profileCell(store), { signal: life });
  store.watch((state) => state.cell, (cell) => {
    button.disabled = !cell || cell.score === null;
    button.textContent = cell && !button.disabled ? `Measure cell (${cell.row}, ${cell.col})` : "Measure a cell";
  }, life);
  store.watch((state) => state.profiled, (cell, current) => {
    clear();
    if (cell) show(cell, current).catch((error) => {
      if (!current.aborted) clear();
      report(store, error);
    });
  }, life);
  store.watch((state) => !displayed(state), (hidden) => (host.hidden = hidden), life);
});
