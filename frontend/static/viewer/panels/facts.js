// What was analysed and checked, in sentences that claim no more than was measured.
import { part } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";
import { shownResults } from "../state.js";

/** @typedef {import("../../shared/types").RotationCheck} RotationCheck */

/** @param {number | null | undefined} value */
const logits = (value) => value?.toExponential(1) ?? "not a number";

/** @param {RotationCheck} check */
function describeTest(check) {
  if (check.passed === null) return "This network is not built to be equivariant, so there was no symmetry to test.";
  const drift = check.drift_logits
    ? ` In these regions the fast computation differs from float32 by up to ${logits(check.drift_logits)} logits.` : "";
  return `Software self-test ${check.passed ? "passed" : "failed"}: ${check.regions} sampled regions under ${check.elements.join("; ")}, ` +
    `largest difference ${logits(check.residual_logits)} logits (tolerance ${check.tolerance_logits}). ` +
    `It tests the software. It does not say that a score is right.${drift}`;
}

/** @param {RotationCheck | null | undefined} check */
function describeCheck(check) {
  if (!check) return "The rotation self-test was not requested.";
  if (!check.regions) return "The rotation self-test tested nothing: none of the sampled regions could be read.";
  if (check.spread_logits === null || check.spread_logits === undefined) return describeTest(check);
  return `${describeTest(check)} Under views outside its symmetry (${check.outside.join("; ")}) ` +
    `the output moved by up to ${check.spread_logits.toFixed(2)} logits.`;
}

/** @param {import("../../shared/types").Familiarity | null | undefined} familiarity */
function describeFamiliarity(familiarity) {
  if (!familiarity) return "";
  const percent = (/** @type {number} */ share) => `${(100 * share).toFixed(0)} %`;
  return `${percent(familiarity.unfamiliar_share)} of the analysed tissue looks unlike the network's training patches ` +
    `(above the limit that 2 % of held-out patches exceed). On reference slides it was at most ${percent(familiarity.usual_share)}.`;
}

/**
 * @param {import("../../shared/types").ShownResults | null} results
 * @param {string | null | undefined} preset the name of the threshold
 */
function describeScore(results, preset) {
  if (!results?.slide_score) return "";
  const { peak, area_um2 } = results.slide_score;
  const name = preset ? ` (${preset})` : "";
  return `Highest mean score of four neighbouring cells: ${peak.toFixed(3)}. ${(area_um2 / 1e6).toFixed(4)} mm² reach the threshold of ${results.threshold}${name}. ` +
    "Both sum the heat map up, for sorting slides.";
}

/** @param {NonNullable<import("../state.js").Analysis["results"]>} results @param {unknown} tissue the analysis's setting */
function describeCoverage({ coverage, left_out, unread }, tissue) {
  const counted = coverage.unreadable_cells ? ` ${coverage.unreadable_cells} cells could not be read.` : "";
  const missing = unread ? ` ${unread.statement.sentence}` : counted; // results stored by 0.1 have only the number
  const area = `${coverage.analysed_mm2.toFixed(2)} mm² analysed of ${coverage.tissue_mm2.toFixed(2)} mm² ${tissue === "auto" ? "tissue" : "slide"}`;
  const leftOut = left_out.map(({ reason }) => ` ${reason.sentence}`).join("");
  return `${area}, on a slide of ${coverage.slide_mm2.toFixed(2)} mm².${missing}${leftOut}`;
}

/** @param {import("../state.js").Analysis["scale"]} scale */
function describeScale({ mpp_x, mpp_y, mpp_source }) {
  if (!mpp_x || !mpp_y) return "";
  const value = mpp_x === mpp_y ? `${mpp_x}` : `${mpp_x} × ${mpp_y}`;
  const sources = /** @type {Record<string, string>} */ ({
    file: "as the file states", objective: "a guess from the objective", user: "as a person stated",
  });
  return `Made at ${value} µm per pixel, ${sources[mpp_source ?? ""] ?? mpp_source}.`;
}

/** @param {import("../state.js").Analysis["provenance"]} provenance */
const describeProvenance = (provenance) => provenance
  ? `${provenance.model}, weights ${provenance.weights_sha256.slice(0, 12)}, ${provenance.backend} ${provenance.precision}.` : "";

export const { mount, unmount } = panel((host, /** @type {import("../state.js").ViewerStore} */ store, life) => {
  store.watch((state) => (state.analysis?.state === "succeeded" ? state.analysis : null), (analysis) => {
    const results = analysis?.results;
    host.hidden = !results;
    if (!analysis || !results) return;
    part(host, "coverage").textContent = describeCoverage(results, analysis.settings.tissue);
    part(host, "score").textContent = describeScore(shownResults(analysis), analysis.settings.preset);
    part(host, "selftest").textContent = describeCheck(results.rotation_check);
    part(host, "familiarity").textContent = describeFamiliarity(shownResults(analysis)?.familiarity);
    part(host, "made-at").textContent = describeScale(analysis.scale);
    part(host, "provenance").textContent = describeProvenance(analysis.provenance);
  }, life);
});
