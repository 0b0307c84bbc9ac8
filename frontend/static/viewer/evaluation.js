// What people outlined and the analysis did not find, where it was held against their outlines.
import { element, get, make } from "../shared/http.js";

/**
 * The newest evaluation of an analysis, if there is one; a click on a miss shows it.
 * @param {string} analysisId @param {import("./regions.js").Regions} regions @param {() => boolean} wanted still shown
 */
export async function showEvaluation(analysisId, regions, wanted) {
  const all = await get(`/evaluations?analysis=${analysisId}`);
  const found = all.find((/** @type {any} */ one) => one.state === "succeeded");
  if (!found) return;
  const newest = await get(`/evaluations/${found.id}`);
  if (!wanted()) return;
  const slide = newest.slides.find((/** @type {any} */ one) => one.analysis_id === analysisId);
  if (!slide || slide.left_out) return;
  const counted = slide.lesions.filter((/** @type {any} */ lesion) => lesion.counted).length;
  element("evaluation-text").textContent =
    `Held against people's outlines (${newest.mode}): ${counted - slide.misses.length} of ${counted} lesions found, ` +
    `${slide.false_positives.length} regions outside them.` + (slide.misses.length ? " Missed:" : "");
  element("misses").replaceChildren(...slide.misses.map((/** @type {any} */ miss) => entry(miss, regions)));
  element("evaluation").hidden = false;
}

/** @param {any} miss @param {import("./regions.js").Regions} regions */
function entry(miss, regions) {
  const item = document.createElement("li");
  const button = make("button");
  button.append(make("span", "", "missed"), make("span", "small", `${(miss.area_um2 / 1e6).toFixed(3)} mm², ${Math.round(miss.major_axis_um)} µm long`));
  button.addEventListener("click", () => regions.frame(miss.bbox_l0));
  item.append(button);
  return item;
}
