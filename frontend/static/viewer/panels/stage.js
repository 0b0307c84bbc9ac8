// The slide itself: deep zoom, the pointer's place, and the outline of the region that was asked for.
import { make, part, showText } from "../../shared/dom.js";
import { address } from "../../shared/http.js";
import { panel } from "../../shared/panel.js";
import { describeValue } from "../quantities.js";
import { RETRIES, drawRecovered } from "../retries.js";
import { drawScale } from "../scalebar.js";
import { report } from "../state.js";
import { tileSource } from "../tilesource.js";

/**
 * OpenSeadragon puts a <style> into the page once, which the content security policy refuses with a console error.
 * It first looks for one, and an element of that name outside the HTML namespace ends its search and styles nothing.
 * The rule itself is in viewer/style.css.
 */
function declareFocusStyle() {
  if (document.head.querySelector("[data-openseadragon-mobile-css]")) return;
  const marker = document.createElementNS("urn:quarterturn:marker", "style");
  marker.setAttribute("data-openseadragon-mobile-css", "true");
  document.head.append(marker);
}

/** @param {HTMLElement} element @param {import("../../shared/types").Tiles} tiles */
function open(element, tiles) {
  declareFocusStyle();
  const viewer = OpenSeadragon({
    element,
    prefixUrl: address("/libraries/openseadragon/images/"),
    tileSources: tileSource(tiles),
    drawer: "canvas",
    showNavigator: true,
    navigatorAutoFade: false,
    navigatorBackground: "#ebe8f1",
    navigatorOpacity: 1,
    navigatorBorderColor: "#b9aede",
    showNavigationControl: false,
    maxZoomPixelRatio: 4,
    visibilityRatio: 0.4,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    crossOriginPolicy: false,
    ...RETRIES,
  });
  Object.assign(viewer.navigator.imageLoader, RETRIES); // a viewer of its own, which does not take these options over
  drawRecovered(viewer);
  drawRecovered(viewer.navigator);
  viewer.addHandler("canvas-key", (event) => {
    const key = /** @type {KeyboardEvent} */ (event.originalEvent).key;
    if (/^[a-zA-Z]$/.test(key)) event.preventDefaultAction = true; // letters belong to the keyboard panel
  });
  return viewer;
}

/**
 * @param {import("openseadragon").Viewer} viewer @param {HTMLElement} element
 * @param {import("../state.js").ViewerStore} store @param {AbortSignal} life
 */
function followPointer(viewer, element, store, life) {
  /** @param {PointerEvent} event */
  const point = (event) => {
    const image = viewer.world.getItemAt(0);
    if (!image) return;
    const box = element.getBoundingClientRect();
    const pointer = image.viewerElementToImageCoordinates(new OpenSeadragon.Point(event.clientX - box.left, event.clientY - box.top));
    store.set({ pointer, cell: store.get().heat?.at(pointer.x, pointer.y) ?? null });
  };
  element.addEventListener("pointermove", point, { capture: true, signal: life });
  element.addEventListener("pointerdown", point, { capture: true, signal: life });
  element.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") store.set({ pointer: null }); // a lifted finger still points
  }, { signal: life });
}

/** @param {import("../state.js").ViewerState} state */
function describePointer({ pointer, cell, heat, layer }) {
  if (!pointer) return "";
  const place = `${Math.round(pointer.x)}, ${Math.round(pointer.y)} px`;
  return heat ? `${place} · ${describeValue(layer, cell?.score ?? null)}` : place;
}

/**
 * Outlines a box of the slide and moves to it, with some room around it.
 * @param {import("openseadragon").Viewer} viewer @param {HTMLElement} outline @param {import("../../shared/types").Box} box level-0 px
 */
function frame(viewer, outline, [left, top, right, bottom]) {
  const area = viewer.world.getItemAt(0).imageToViewportRectangle(left, top, right - left, bottom - top);
  viewer.addOverlay({ element: outline, location: area });
  const margin = Math.max(0.15 * Math.max(area.width, area.height), 0.03);
  viewer.viewport.fitBounds(new OpenSeadragon.Rect(area.x - margin, area.y - margin, area.width + 2 * margin, area.height + 2 * margin));
}

/**
 * @param {HTMLElement} host @param {import("../state.js").ViewerStore} store
 * @param {import("../../shared/types").Tiles} tiles @param {AbortSignal} life
 */
function show(host, store, tiles, life) {
  const element = part(host, "slide");
  const viewer = open(element, tiles);
  life.addEventListener("abort", () => { // registered before anything that may throw, so that no viewer outlives its panel
    store.set({ viewer: null }); // first: overlays come off while the viewer still exists
    viewer.destroy();
  }, { once: true });
  const outline = make("div", "outline");
  viewer.addHandler("update-viewport", () => {
    const image = viewer.world.getItemAt(0);
    if (image && tiles.mpp_x) drawScale(part(host, "scale"), tiles.mpp_x / image.viewportToImageZoom(viewer.viewport.getZoom(true)));
  });
  viewer.addOnceHandler("open", () => store.set({ viewer }));
  viewer.addHandler("open-failed", () => report(store, new Error("The slide's tiles cannot be shown")));
  followPointer(viewer, element, store, life);
  store.watch((state) => (state.viewer === viewer ? state.frame : null), (box) => { // the slide must be open first
    viewer.removeOverlay(outline);
    if (box) frame(viewer, outline, box);
  }, life);
}

export const { mount, unmount } = panel((host, /** @type {import("../state.js").ViewerStore} */ store, life) => {
  const pointer = part(host, "pointer");
  store.watch(describePointer, (text) => showText(pointer, text), life);
  store.watch((state) => state.tiles, (tiles, current) => tiles && show(host, store, tiles, current), life);
  life.addEventListener("abort", () => (part(host, "scale").hidden = true), { once: true });
});
