// Threshold presets of a network's card: what each is called, and what it costs.
import { percent } from "../shared/words.js";

/** @typedef {import("../shared/types").Card} Card */
/** @typedef {import("../shared/types").ThresholdPreset} ThresholdPreset */
/** @typedef {"screening" | "default" | "specific"} PresetName */

const NAMES = /** @type {const} */ (["screening", "default", "specific"]);
const SIZE = "9"; // cells: the size of lesion that the text names

/** The card's presets, from the lowest threshold to the highest. @param {Card | undefined} card @returns {[PresetName, ThresholdPreset][]} */
export const presetsOf = (card) => NAMES.flatMap((name) => {
  const preset = card?.presets[name];
  return preset ? [/** @type {[PresetName, ThresholdPreset]} */ ([name, preset])] : [];
});

/** @param {number} value */
const rounded = (value) => Number(value.toPrecision(2)).toLocaleString("en");

/** @param {ThresholdPreset} preset */
export function cost({ sensitivity, specificity, detected, sham, false_regions_per_10_mm2: falseRegions }) {
  if (typeof sensitivity !== "number" || typeof specificity !== "number") return "What it costs was not measured.";
  const patches = `On test patches ${percent(sensitivity)} of tumour reaches it, and so does ${percent(1 - specificity)} of the rest.`;
  if (!falseRegions || !detected[SIZE] || !sham[SIZE]) return patches;
  return `${patches} On fields composed of patches, not on slides, an analysis with it shows ${rounded(falseRegions.value)} false regions in 10 mm². ` +
    `It finds ${percent(detected[SIZE].value)} of lesions of ${SIZE} cells, and ${percent(sham[SIZE].value)} of such places without tumour.`;
}
