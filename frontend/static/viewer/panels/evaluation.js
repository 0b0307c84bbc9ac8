// The newest comparison of an analysis with the outlines of its slide. A click on a missed lesion shows it.
import { request } from "../../shared/http.js";
import { make, part } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";
import { displayed, report } from "../state.js";

/** @typedef {import("../../shared/types").EvaluatedSlide} EvaluatedSlide */

/** @param {string} analysisId @param {AbortSignal} signal */
async function newest(analysisId, signal) {
  const rows = await request("get", "/api/v1/evaluations", { query: { analysis: analysisId }, signal });
  const row = rows.find(({ state }) => state === "succeeded");
  if (!row) return null;
  const evaluation = await request("get", "/api/v1/evaluations/{evaluation_id}", { path: { evaluation_id: row.id }, signal });
  const slide = evaluation.slides.find(({ analysis_id }) => analysis_id === analysisId);
  return slide && !slide.left_out ? { mode: evaluation.mode, slide } : null;
}

/** @param {string} mode @param {EvaluatedSlide} slide */
function describe(mode, { lesions, misses, false_positives }) {
  const counted = lesions.filter((lesion) => lesion.counted).length;
  return `Compared with the outlines (${mode}): ${counted - misses.length} of ${counted} lesions found, ` +
    `${false_positives.length} regions outside the outlines.${misses.length ? " Missed lesions:" : ""}`;
}

/** @param {import("../../shared/types").Lesion} miss @param {import("../state.js").ViewerStore} store */
function entry(miss, store) {
  const item = make("li");
  const button = make("button");
  button.append(make("span", "", "missed"), make("span", "small", `${(miss.area_um2 / 1e6).toFixed(3)} mm², ${Math.round(miss.major_axis_um)} µm long`));
  button.addEventListener("click", () => store.set({ frame: [...miss.bbox_l0] }));
  item.append(button);
  return item;
}

/** @param {HTMLElement} host */
function clear(host) {
  host.hidden = true;
  part(host, "evaluation-text").textContent = "";
  part(host, "misses").replaceChildren();
}

export const { mount, unmount } = panel((host, /** @type {import("../state.js").ViewerStore} */ store, life) => {
  /** @param {string} id @param {AbortSignal} signal */
  const load = async (id, signal) => {
    const evaluation = await newest(id, signal);
    if (!evaluation) return;
    signal.addEventListener("abort", () => clear(host), { once: true });
    part(host, "evaluation-text").textContent = describe(evaluation.mode, evaluation.slide);
    part(host, "misses").replaceChildren(...evaluation.slide.misses.map((miss) => entry(miss, store)));
    host.hidden = false;
  };
  store.watch((state) => displayed(state)?.id, (id, current) => {
    host.hidden = true;
    if (id) load(id, current).catch((error) => report(store, error));
  }, life);
});
