// The quantities that a layer shows: what the ends of its scale mean, where its threshold starts, how a value is worded.
import { percent } from "../shared/words.js";

/** @typedef {import("../shared/types").ShownResults | null} Results */

/**
 * The share of tumour cells for which scores are calibrated, and what a score is worth where tumour is rare.
 * @param {import("../shared/types").Calibration | null} calibration
 */
function describeCalibration(calibration) {
  if (!calibration) return "";
  return ` Calibrated where ${percent(calibration.prevalence)} of cells contain tumour. Where ${percent(calibration.rare_prevalence)} do, ` +
    `a score of 0.90 is worth ${calibration.worth_where_rare["0.9"].toFixed(2)}.`;
}

export const QUANTITIES = {
  score: {
    ends: ["score 0", "1"],
    about: (/** @type {Results} */ results) =>
      `Score: the network's calibrated output for a cell. It is not the probability of cancer.${describeCalibration(results?.calibration ?? null)}`,
    start: (/** @type {Results} */ results) => results?.threshold ?? 0,
    describe: (/** @type {number} */ value) => `score ${value.toFixed(3)}`,
  },
  strangeness: {
    ends: ["familiar", "twice the limit"],
    about: () => "Unfamiliar: how unlike its training patches a cell looks to the network, two-sided. " +
      "0.50 is the limit that 2 % of held-out patches exceed. It says nothing about tumour.",
    start: () => 0.5,
    describe: (/** @type {number} */ value) => `${(2 * value).toFixed(2)} × the familiarity limit`,
  },
};

/** @param {keyof typeof QUANTITIES} quantity @param {number | null} value in [0, 1]; null: not analysed */
export const describeValue = (quantity, value) => (value === null ? "not analysed" : QUANTITIES[quantity].describe(value));
