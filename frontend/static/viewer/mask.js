// The tissue mask: what each cell of the slide shows, in one colour a kind.
import { pen } from "../shared/dom.js";
import { send } from "../shared/http.js";
import { HeatMap, cellsOf } from "./heatmap.js";

/** By the value of a cell: name, colour (red, green, blue, alpha), whether analyses of tissue score it. */
export const KINDS = Object.freeze([
  { name: "glass", colour: [90, 90, 100, 110], about: "left out" },
  { name: "tissue", colour: [0, 0, 0, 0], about: "analysed" },
  { name: "ink", colour: [0, 140, 70, 190], about: "left out: ink, dye or black" },
  { name: "unsure", colour: [255, 150, 0, 190], about: "left out: hardly differs from glass" },
]);

export class TissueMask extends HeatMap {
  /** @param {string} slideId @param {AbortSignal} signal @returns {Promise<TissueMask>} */
  static async read(slideId, signal) {
    const answer = await send("get", "/api/v1/slides/{slide_id}/tissue", { path: { slide_id: slideId }, signal });
    const mask = new TissueMask(...(await cellsOf(answer)));
    mask.canvas.className = "mask";
    mask.draw();
    return mask;
  }

  draw() {
    const context = pen(this.canvas);
    const picture = context.createImageData(this.grid.cols, this.grid.rows);
    this.grid.values.forEach((kind, i) => picture.data.set(KINDS[kind].colour, 4 * i));
    context.putImageData(picture, 0, 0);
  }

  /** The share of the slide's cells of each kind, in [0, 1]. @returns {number[]} */
  shares() {
    const counts = KINDS.map(() => 0);
    for (const kind of this.grid.values) counts[kind]++;
    return counts.map((count) => count / this.grid.values.length);
  }
}
