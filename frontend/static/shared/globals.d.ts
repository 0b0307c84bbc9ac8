// The libraries, as their classic scripts define them on the window.
import type OSD from "openseadragon";
import type * as Tus from "tus-js-client";

declare global {
  const OpenSeadragon: typeof OSD;
  const tus: typeof Tus;
  const SwaggerUIBundle: (options: object) => unknown;
  interface Window {
    quarterturn?: { readonly viewer: OSD.Viewer | null };
  }
}
