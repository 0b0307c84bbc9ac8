// The two libraries, as their classic scripts put them on the window.
import type OSD from "openseadragon";
import type * as Tus from "tus-js-client";

declare global {
  const OpenSeadragon: typeof OSD;
  const tus: typeof Tus;
  const SwaggerUIBundle: (options: object) => unknown;
  interface Window {
    quarterturn?: { viewer: OSD.Viewer };
  }
}
