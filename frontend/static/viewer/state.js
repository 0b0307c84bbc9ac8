// The state of one viewer, and the changes that more than one panel makes.
import { Refusal, address, isAbort, request } from "../shared/http.js";
import { createStore } from "../shared/store.js";
import { message } from "../shared/words.js";

/** @typedef {import("../shared/types").Analysis} Analysis */
/** @typedef {{ row: number, col: number, score: number | null }} Cell  `score` is the layer's value; null: not analysed */

/**
 * @typedef {object} ViewerState
 * @property {string} slideId
 * @property {import("../shared/types").Slide | null} slide
 * @property {import("../shared/types").Tiles | null} tiles
 * @property {import("openseadragon").Viewer | null} viewer  set when the slide is open
 * @property {Analysis | null} analysis  the analysis that the panels show
 * @property {boolean} loaded  whether the slide's analyses are known
 * @property {import("./heatmap.js").HeatMap | null} heat  the layer over the slide
 * @property {"score" | "strangeness"} layer
 * @property {boolean} heatVisible
 * @property {boolean} maskVisible  whether the tissue mask lies over the slide
 * @property {import("../shared/types").Region[]} regions
 * @property {number} region  index of the current region; -1: none
 * @property {import("../shared/types").Box | null} frame  a box in level-0 px that the stage outlines and shows
 * @property {{ x: number, y: number } | null} pointer  the place pointed at, in level-0 px
 * @property {Cell | null} cell  the cell pointed at or tapped last
 * @property {Cell | null} profiled  the cell whose score against angle is measured
 * @property {string} error
 */
/** @typedef {import("../shared/store.js").Store<ViewerState>} ViewerStore */

/** What a viewer shows when no results are shown. */
const NO_RESULTS = Object.freeze({
  heat: null, heatVisible: true, regions: [], region: -1, frame: null, pointer: null, cell: null, profiled: null,
});

/** @param {string} slideId @returns {ViewerStore} */
export const createViewerStore = (slideId) => {
  /** @type {ViewerState} */
  const initial = { slideId, slide: null, tiles: null, viewer: null, analysis: null, loaded: false, layer: "score", maskVisible: false, error: "", ...NO_RESULTS };
  return createStore(initial);
};

/** Loads the slide of a viewer, its tiles' description and its newest analysis. @param {ViewerStore} store */
export async function openSlide(store) {
  const path = { slide_id: store.get().slideId };
  const [slide, tiles, analyses] = await Promise.all([
    request("get", "/api/v1/slides/{slide_id}", { path }),
    request("get", "/api/v1/slides/{slide_id}/tiles", { path }),
    request("get", "/api/v1/slides/{slide_id}/analyses", { path }),
  ]);
  store.set({
    slide,
    tiles,
    analysis: analyses.find(({ state }) => state !== "cancelled") ?? analyses[0] ?? null,
    loaded: true,
  });
}

/** @param {Analysis | null} analysis */
export const isActive = (analysis) => analysis?.state === "queued" || analysis?.state === "running";

/**
 * The results of an analysis that may be shown; null: it has none, or they are withheld.
 * @param {Analysis | null} analysis @returns {import("../shared/types").ShownResults | null}
 */
export function shownResults(analysis) {
  if (!analysis?.results || analysis.withheld) return null;
  return /** @type {import("../shared/types").ShownResults} */ (analysis.results);
}

/** The analysis whose heat map and regions may be shown. @param {ViewerState} state */
export const displayed = ({ viewer, analysis }) => (viewer && analysis?.state === "succeeded" && !analysis.withheld ? analysis : null);

/**
 * Shows another analysis, or a newer state of the same one. No result of an earlier one stays beside it.
 * @param {ViewerStore} store @param {Analysis | null} analysis
 */
export const showAnalysis = (store, analysis) => store.set({ ...NO_RESULTS, analysis });

/** @param {ViewerStore} store @param {number} index wraps at both ends */
export function showRegion(store, index) {
  const { regions } = store.get();
  if (!regions.length) return;
  const region = (index + regions.length) % regions.length;
  store.set({ region, frame: [...regions[region].bbox_l0] });
}

/** @param {ViewerStore} store @param {1 | -1} step */
export function stepRegion(store, step) {
  const { region } = store.get();
  showRegion(store, region < 0 && step > 0 ? 0 : Math.max(region, 0) + step);
}

/** Measures score against angle of the cell pointed at. @param {ViewerStore} store */
export function profileCell(store) {
  const { cell } = store.get();
  if (cell && cell.score !== null) store.set({ profiled: { ...cell } });
}

/** @param {ViewerStore} store @param {unknown} error */
export function report(store, error) {
  if (isAbort(error)) return;
  if (error instanceof Refusal && error.status === 401) location.href = address("/");
  store.set({ error: `${message(error)}.` });
}
