// One plane of the heat map: loaded once, coloured here. New colours, threshold or opacity need no request.
import { send } from "../shared/http.js";
import { table } from "../shared/colormaps.js";
import { pen } from "../shared/dom.js";
import { parse } from "./npy.js";

const NOT_ANALYSED = 255;

/**
 * A value for each cell of the slide, and the affine map of cells to level-0 pixels.
 * @param {Response} answer @returns {Promise<[ReturnType<typeof parse>, number[]]>}
 */
export async function cellsOf(answer) {
  const affine = (answer.headers.get("Quarterturn-Affine") ?? "").split(",").map(Number);
  return [parse(await answer.arrayBuffer()), affine];
}

export class HeatMap {
  /**
   * @param {{ rows: number, cols: number, values: Uint8Array | Float32Array }} grid uint8: 0..254 for scores 0..1
   * @param {number[]} affine a, b, c, d, e, f: centre of (row, col) at x = a·col + b·row + c, y = d·col + e·row + f
   */
  constructor(grid, affine) {
    this.grid = grid;
    this.affine = affine;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "heat";
    this.canvas.width = grid.cols;
    this.canvas.height = grid.rows;
  }

  /**
   * @param {string} analysisId @param {"score" | "strangeness"} quantity @param {AbortSignal} signal
   * @returns {Promise<HeatMap>}
   */
  static async load(analysisId, quantity, signal) {
    const answer = await send("get", "/api/v1/analyses/{analysis_id}/heatmap",
      { path: { analysis_id: analysisId }, query: { dtype: "uint8", quantity }, signal });
    return new HeatMap(...(await cellsOf(answer)));
  }

  /** @param {string} colours @param {number} threshold in [0, 1]; cells below it stay transparent */
  draw(colours, threshold) {
    const context = pen(this.canvas);
    const picture = context.createImageData(this.grid.cols, this.grid.rows);
    const lut = table(colours);
    const lowest = Math.round(threshold * 254);
    const { values } = this.grid;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value === NOT_ANALYSED || value < lowest) continue;
      picture.data.set(lut.subarray(3 * value, 3 * value + 3), 4 * i);
      picture.data[4 * i + 3] = 255;
    }
    context.putImageData(picture, 0, 0);
  }

  /** Lies over the slide until `life` aborts. @param {import("openseadragon").Viewer} viewer @param {AbortSignal} life */
  layOver(viewer, life) {
    const { x, y, width, height } = this.rectangle();
    viewer.addOverlay({ element: this.canvas, location: viewer.world.getItemAt(0).imageToViewportRectangle(x, y, width, height) });
    life.addEventListener("abort", () => viewer.removeOverlay(this.canvas), { once: true });
  }

  /** The rectangle of all cells' squares, in level-0 pixels. */
  rectangle() {
    const [a, , c, , e, f] = this.affine;
    return { x: c - a / 2, y: f - e / 2, width: a * this.grid.cols, height: e * this.grid.rows };
  }

  /** @param {number} x @param {number} y level-0 pixels @returns {{ row: number, col: number, score: number | null } | null} */
  at(x, y) {
    const [a, , c, , e, f] = this.affine;
    const col = Math.round((x - c) / a);
    const row = Math.round((y - f) / e);
    if (row < 0 || col < 0 || row >= this.grid.rows || col >= this.grid.cols) return null;
    const value = this.grid.values[row * this.grid.cols + col];
    return { row, col, score: value === NOT_ANALYSED ? null : value / 254 };
  }
}
