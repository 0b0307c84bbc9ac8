// The state of one viewer, and the changes that more than one panel makes.
import { Refusal, isAbort, request } from "../shared/http.js";
import { signInAddress } from "../shared/signin.js";
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
 * @property {import("../shared/types").Card[]} cards  of the networks that live workers offer
 * @property {boolean} loaded  whether the slide's analyses are known
 * @property {import("./heatmap.js").HeatMap | null} heat  the layer over the slide
 * @property {"score" | "strangeness"} layer
 * @property {number | null} threshold  of the layer, in [0, 1]; null: no layer is loaded
 * @property {boolean} heatVisible
 * @property {boolean} maskVisible  whether the tissue mask lies over the slide
 * @property {import("../shared/types").Region[]} regions
 * @property {number} region  index of the current region; -1: none
 * @property {import("../shared/types").Box | null} frame  a box in level-0 px that the stage outlines and shows
 * @property {{ x: number, y: number } | null} pointer  the place pointed at, in level-0 px
 * @property {Cell | null} cell  the cell pointed at or tapped last
 * @property {Cell | null} profiled  the cell whose score against angle is measured
 * @property {import("./link/address.js").Link} link  the view that the address asked for last; panels follow each new one
 * @property {string} notice  what the address names that is not there
 * @property {string} error
 */
/** @typedef {import("../shared/store.js").Store<ViewerState>} ViewerStore */

/** What a viewer shows when no results are shown. */
const NO_RESULTS = Object.freeze({
  heat: null, heatVisible: true, threshold: null, link: Object.freeze({}), notice: "", regions: [], region: -1, frame: null, pointer: null, cell: null, profiled: null,
});

/** @param {string} slideId @param {import("./link/address.js").Link} [link] @returns {ViewerStore} */
export const createViewerStore = (slideId, link = {}) => {
  /** @type {ViewerState} */
  const initial = {
    ...NO_RESULTS, slideId, slide: null, tiles: null, viewer: null, analysis: null, cards: [], loaded: false, layer: "score",
    maskVisible: link.mask ?? false, link, error: "",
  };
  return createStore(initial);
};

/** Loads the slide of a viewer, its tiles' description, and the analysis of its link or else the newest. @param {ViewerStore} store */
export async function openSlide(store) {
  const { slideId, link } = store.get();
  const path = { slide_id: slideId };
  const [slide, tiles, analyses] = await Promise.all([
    request("get", "/api/v1/slides/{slide_id}", { path }),
    request("get", "/api/v1/slides/{slide_id}/tiles", { path }),
    request("get", "/api/v1/slides/{slide_id}/analyses", { path }),
  ]);
  store.set({ slide, tiles, ...(await choose(slideId, analyses, link)), loaded: true });
}

/** Shows what an address asks for: another analysis of the slide, another place, other layers.
 * @param {ViewerStore} store @param {import("./link/address.js").Link} link @param {AbortSignal} signal */
export async function followLink(store, link, signal) {
  const { slideId, analysis } = store.get();
  const maskVisible = link.mask ?? false;
  if (link.analysis === analysis?.id) return store.set({ link, maskVisible, region: -1, frame: null, notice: "" });
  const analyses = await request("get", "/api/v1/slides/{slide_id}/analyses", { path: { slide_id: slideId }, signal });
  const choice = await choose(slideId, analyses, link, signal);
  signal.throwIfAborted();
  store.set({ ...NO_RESULTS, ...choice, maskVisible, link });
}

/**
 * The analysis that a link names; where it names none of this slide, the newest, and what is wrong with the link.
 * @param {string} slideId @param {Analysis[]} analyses newest first @param {import("./link/address.js").Link} link @param {AbortSignal} [signal]
 */
async function choose(slideId, analyses, { analysis: id }, signal) {
  const match = analyses.find((analysis) => analysis.id === id);
  const newest = analyses.find(({ state }) => state !== "cancelled") ?? analyses[0] ?? null;
  if (match || !id) return { analysis: match ?? newest, notice: "" };
  const instead = newest ? " The newest analysis is shown." : "";
  return { analysis: newest, notice: `${await explainMissing(slideId, id, signal)}${instead}` };
}

/** @param {string} slideId @param {string} id of an analysis that is none of the slide's @param {AbortSignal} [signal] */
async function explainMissing(slideId, id, signal) {
  try {
    const { slide_id } = await request("get", "/api/v1/analyses/{analysis_id}", { path: { analysis_id: id }, signal });
    if (slide_id !== slideId) return "The link names an analysis of another slide.";
  } catch (error) {
    if (!(error instanceof Refusal && [404, 410, 422].includes(error.status))) throw error;
  }
  return "The link names an analysis that is not here: it was deleted, or never was.";
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
  if (error instanceof Refusal && error.status === 401) location.href = signInAddress();
  store.set({ error: `${message(error)}.` });
}
