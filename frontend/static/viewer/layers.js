// What is laid over the slide: the scores, or how unlike the training patches the tissue is. One of them at a time.
import { element } from "../shared/http.js";
import { names, table } from "../shared/colormaps.js";
import { HeatMap } from "./heatmap.js";

const SCORE = "Score: the network's calibrated output for a cell. It is not the probability of cancer.";

/**
 * For which mix the scores are calibrated, and what that means where tumour is rare.
 * @param {any} known
 */
function mixed(known) {
  if (!known) return "";
  const percent = (/** @type {number} */ share) => `${Math.round(100 * share)} %`;
  return (
    ` Calibrated where ${percent(known.prevalence)} of cells hold tumour; where ${percent(known.rare_prevalence)} do, ` +
    `a score of 0.90 is worth ${known.worth_where_rare["0.9"].toFixed(2)}.`
  );
}

/** Of each layer: what its two ends mean, where its threshold stands at first, and how a value is told. */
const KINDS = {
  score: {
    ends: ["score 0", "1"],
    about: (/** @type {any} */ results) => SCORE + mixed(results?.calibration),
    start: (/** @type {any} */ results) => results.threshold,
    tell: (/** @type {number} */ value) => `score ${value.toFixed(3)}`,
  },
  strangeness: {
    ends: ["familiar", "twice the limit"],
    about: () => "Unfamiliar: how unlike its training patches a cell looks to the network, two-sided. 0.50 is the limit that 2 % of held-out patches exceed. It says nothing about tumour.",
    start: () => 0.5,
    tell: (/** @type {number} */ value) => `${(2 * value).toFixed(2)} × the limit of the familiar`,
  },
};

export class Layers {
  /** @param {import("openseadragon").Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.opacity = /** @type {HTMLInputElement} */ (element("opacity"));
    this.threshold = /** @type {HTMLInputElement} */ (element("threshold"));
    this.colours = /** @type {HTMLSelectElement} */ (element("colours"));
    this.choice = /** @type {HTMLSelectElement} */ (element("kind"));
    /** @type {Map<string, HeatMap>} */
    this.loaded = new Map();
    /** @type {HeatMap | null} */
    this.heat = null;
    this.laid = "score"; // which plane lies there, whatever is being chosen
    /** @type {any} */
    this.analysis = null;
    this.colours.replaceChildren(...names.map((name) => new Option(name)));
    for (const control of [this.opacity, this.threshold, this.colours]) control.addEventListener("input", () => this.paint());
    this.paint();
  }

  get kind() {
    return KINDS[/** @type {"score" | "strangeness"} */ (this.laid)];
  }

  /**
   * The scores of an analysis that has succeeded.
   * @param {any} analysis @param {HeatMap} scores
   */
  show(analysis, scores) {
    this.clear();
    this.analysis = analysis;
    this.loaded.set("score", scores);
    element("kind-choice").hidden = !analysis.results.familiarity;
    this.lay("score", scores);
  }

  /** Lay what the choice names over the slide; it is fetched when it is first asked for. */
  async choose() {
    const [analysis, name] = [this.analysis, this.choice.value];
    const chosen = this.loaded.get(name) ?? (await HeatMap.load(analysis.id, name).catch((error) => this.stay(error)));
    if (this.analysis !== analysis || this.choice.value !== name) return; // another was asked for meanwhile
    this.loaded.set(name, chosen);
    this.lay(name, chosen);
  }

  /**
   * What was chosen cannot be had: say again what lies there.
   * @param {unknown} error @returns {never}
   */
  stay(error) {
    this.choice.value = this.laid;
    throw error;
  }

  /** @param {string} name @param {HeatMap} heat */
  lay(name, heat) {
    const image = this.viewer.world.getItemAt(0);
    if (this.heat) this.viewer.removeOverlay(this.heat.canvas);
    [this.heat, this.laid] = [heat, name];
    const { x, y, width, height } = heat.rectangle();
    this.viewer.addOverlay({ element: heat.canvas, location: image.imageToViewportRectangle(x, y, width, height) });
    this.threshold.value = String(this.kind.start(this.analysis.results));
    this.paint();
  }

  /** Nothing is shown. */
  clear() {
    if (this.heat) this.viewer.removeOverlay(this.heat.canvas);
    this.heat = null;
    this.analysis = null;
    this.loaded.clear();
    this.choice.value = this.laid = "score";
    element("kind-choice").hidden = true;
  }

  toggle() {
    if (this.heat) this.heat.canvas.hidden = !this.heat.canvas.hidden;
  }

  paint() {
    const [lowest, opacity] = [Number(this.threshold.value), Number(this.opacity.value)];
    element("opacity-value").textContent = `${Math.round(opacity * 100)} %`;
    element("threshold-value").textContent = lowest.toFixed(2);
    [element("legend-low").textContent, element("legend-high").textContent] = this.kind.ends;
    element("kind-about").textContent = this.kind.about(this.analysis?.results);
    this.drawLegend(lowest);
    if (!this.heat) return;
    this.heat.canvas.style.opacity = String(opacity);
    this.heat.draw(this.colours.value, lowest);
  }

  /** @param {number} lowest */
  drawLegend(lowest) {
    const canvas = /** @type {HTMLCanvasElement} */ (element("legend"));
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const picture = context.createImageData(256, 1);
    const lut = table(this.colours.value);
    for (let i = 0; i < 256; i++) {
      const value = Math.min(254, i);
      picture.data.set([lut[3 * value], lut[3 * value + 1], lut[3 * value + 2], value / 254 < lowest ? 40 : 255], 4 * i);
    }
    context.putImageData(picture, 0, 0);
  }

  /**
   * The cell at a place of the slide.
   * @param {number} x @param {number} y level-0 px
   */
  at(x, y) {
    return this.heat?.at(x, y) ?? null;
  }

  /**
   * What is known of a cell, in words.
   * @param {{ score: number | null } | null} cell
   */
  tell(cell) {
    if (!this.heat) return "";
    return !cell || cell.score === null ? "not analysed" : this.kind.tell(cell.score);
  }
}
