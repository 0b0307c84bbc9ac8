// The ranked region list: a click, N or B jumps there.
import { element, make } from "../shared/http.js";

export class Regions {
  /** @param {import("openseadragon").Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.list = element("regions");
    /** @type {any[]} */
    this.found = [];
    this.current = -1;
    this.outline = make("div", "outline");
  }

  /** @param {any} answer of GET /analyses/{id}/regions */
  show(answer) {
    this.found = answer.regions;
    this.current = -1;
    element("summary").textContent = answer.summary;
    this.list.replaceChildren(...this.found.map((region, place) => this.entry(region, place)));
  }

  /** Nothing to show. */
  clear() {
    this.found = [];
    this.current = -1;
    this.viewer.removeOverlay(this.outline);
    this.list.replaceChildren();
  }

  /** @param {any} region @param {number} place */
  entry(region, place) {
    const item = document.createElement("li");
    const button = make("button");
    const area = region.area_corrected_um2 / 1e6;
    button.append(
      make("span", "", `${region.rank}.`),
      make("span", "score", region.max_score.toFixed(3)),
      make("span", "small", `${area < 0.1 ? area.toFixed(4) : area.toFixed(2)} mm²`),
    );
    button.title = `Region ${region.rank}: highest score ${region.max_score.toFixed(3)}, ${region.cells} cells. Preliminary.`;
    button.addEventListener("click", () => this.jump(place));
    item.append(button);
    return item;
  }

  /** @param {number} place */
  jump(place) {
    if (!this.found.length) return;
    this.current = (place + this.found.length) % this.found.length;
    this.frame(this.found[this.current].bbox_l0);
    [...this.list.querySelectorAll("button")].forEach((button, i) => {
      button.setAttribute("aria-current", String(i === this.current));
      if (i === this.current) button.scrollIntoView({ block: "nearest" });
    });
  }

  /**
   * Show a box of the slide with some room around it, outlined.
   * @param {number[]} box left, top, right, bottom in level-0 px
   */
  frame([left, top, right, bottom]) {
    const image = this.viewer.world.getItemAt(0);
    const box = image.imageToViewportRectangle(left, top, right - left, bottom - top);
    this.viewer.removeOverlay(this.outline);
    this.viewer.addOverlay({ element: this.outline, location: box });
    const roomy = box.clone();
    const margin = Math.max(0.15 * Math.max(box.width, box.height), 0.03);
    Object.assign(roomy, { x: box.x - margin, y: box.y - margin, width: box.width + 2 * margin, height: box.height + 2 * margin });
    this.viewer.viewport.fitBounds(roomy);
  }

  /** @param {number} step */
  step(step) {
    this.jump(this.current < 0 ? (step > 0 ? 0 : -1) : this.current + step);
  }
}
