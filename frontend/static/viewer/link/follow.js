// The address of the page holds the view. Panning replaces it, and a jump to a region or another analysis adds to the
// browser's history, so that Back returns. One viewer of a page has its address.
import { showText } from "../../shared/dom.js";
import { format, parse, turn } from "./address.js";
import { followLink, report } from "../state.js";

/** @typedef {import("../state.js").ViewerStore} ViewerStore */

const WRITE_MS = 300; // browsers refuse more than some hundred changes of the address in half a minute

/** Moves to where a link leads; a field that it lacks, or that lies off the slide, stays as it is.
 * @param {import("openseadragon").Viewer} viewer @param {import("./address.js").Link} link */
function move({ viewport, world }, { x, y, zoom, rotation }) {
  const image = world.getItemAt(0);
  const size = image.getContentSize();
  const centre = image.viewportToImageCoordinates(viewport.getCenter(false));
  const target = new OpenSeadragon.Point(
    x !== undefined && x <= size.x ? x : centre.x,
    y !== undefined && y <= size.y ? y : centre.y,
  );
  if (rotation !== undefined) viewport.setRotation(rotation, true);
  if (zoom !== undefined) {
    const wished = image.imageToViewportZoom(zoom);
    viewport.zoomTo(Math.min(viewport.getMaxZoom(), Math.max(viewport.getMinZoom(), wished)), undefined, true);
  }
  if (x !== undefined || y !== undefined) viewport.panTo(image.imageToViewportCoordinates(target), true);
}

/** Where the view is, or is moving to, and what it shows. @param {import("../state.js").ViewerState} state */
function describe({ viewer, analysis, heat, layer, heatVisible, maskVisible, threshold }) {
  const image = viewer?.world.getItemAt(0);
  if (!viewer || !image) return "";
  const { x, y } = image.viewportToImageCoordinates(viewer.viewport.getCenter(false));
  const overlaid = heat ? { layer, heat: heatVisible, threshold: threshold ?? undefined } : {};
  return format({
    analysis: analysis?.id, x, y, zoom: image.viewportToImageZoom(viewer.viewport.getZoom(false)),
    rotation: turn(viewer.viewport.getRotation(false)), mask: maskVisible, ...overlaid,
  });
}

/** Writes the address of an open slide until `life` aborts.
 * @param {import("openseadragon").Viewer} viewer @param {ViewerStore} store @param {() => boolean} isLoading @param {AbortSignal} life */
function write(viewer, store, isLoading, life) {
  let last = describe(store.get());
  let timer = 0;
  const replace = () => (life.aborted || isLoading() || history.replaceState(null, "", last));
  const note = () => {
    if (life.aborted) return;
    last = describe(store.get());
    timer ||= window.setTimeout(() => ((timer = 0), replace()), WRITE_MS);
  };
  const jump = () => {
    replace(); // the place that Back leads to, as it was drawn last
    queueMicrotask(() => { // when all panels have followed the change
      if (life.aborted) return;
      history.pushState(null, "", (last = describe(store.get())));
    });
  };
  viewer.addHandler("update-viewport", note);
  life.addEventListener("abort", () => (viewer.removeHandler("update-viewport", note), clearTimeout(timer)), { once: true });
  store.watch(({ analysis, heat, layer, heatVisible, maskVisible, threshold }) =>
    [analysis?.id, heat && layer, heatVisible, maskVisible, threshold].join(), () => queueMicrotask(note), life);
  store.watch((state) => state.frame, (frame) => frame && jump(), life);
  let former = store.get().analysis?.id;
  store.watch((state) => state.analysis?.id, (id) => {
    if (former && id && id !== former && id !== store.get().link.analysis) jump();
    former = id;
  }, life);
}

/** Keeps view and address the same until `life` aborts.
 * @param {HTMLElement} notice for what a link names that is not there @param {ViewerStore} store @param {AbortSignal} life */
export function followAddress(notice, store, life) {
  let loading = 0; // while a link's analysis is loaded, the address already names it
  const follow = async () => {
    loading += 1;
    try {
      await followLink(store, parse(location.hash), life);
    } catch (error) {
      report(store, error);
    } finally {
      loading -= 1;
    }
  };
  window.addEventListener("popstate", follow, { signal: life });
  store.watch((state) => state.notice, (text) => showText(notice, text), life);
  store.watch((state) => state.viewer, (viewer, current) => {
    if (!viewer) return;
    store.watch((state) => state.link, (link) => move(viewer, link), current);
    write(viewer, store, () => loading > 0, current);
  }, life);
}
