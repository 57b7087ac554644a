/** A previewed plan on the map: for each runner a line from where they are to their stops, numbered in order. */

import { h } from "../dom.js";

const L = /** @type {any} */ (globalThis).L;
/** Told apart by number and name as well: the colours only help. */
const TONES = 8;
const MARK_PX = 17;

export class PlanLayer {
  /** @param {import("../map.js").CampusMap} map */
  constructor(map) {
    this.map = map;
    this.group = L.layerGroup().addTo(map.leaflet);
  }

  /**
   * @param {any[]} routes of a PlanPreview
   * @param {{isOff: (orderId: string) => boolean, chosenId: string | null, onPick: (runnerId: string) => void}} look
   */
  show(routes, { isOff, chosenId, onPick }) {
    this.group.clearLayers();
    /** How many stand at a place already: whoever comes next stands beside them. @type {Map<string, number>} */
    const standing = new Map();
    routes.forEach((route, index) => {
      const stops = route.stops.filter((stop) => !(stop.is_new && isOff(stop.order_id)));
      if (!stops.some((stop) => stop.is_new)) return;
      const tone = `tone-${index % TONES}`;
      const isFaint = chosenId && chosenId !== route.runner_id ? "is-faint" : "";
      const line = [route.start, ...stops.map((stop) => [stop.lat, stop.lon])];
      this.group.addLayer(L.polyline(line, { className: `plan-line ${tone} ${isFaint}`, interactive: false }));
      stops.forEach((stop, place) => {
        const at = `${stop.lat},${stop.lon}`;
        const beside = standing.get(at) ?? 0;
        standing.set(at, beside + 1);
        this.group.addLayer(this.mark(route, stop, { place, beside, look: `${tone} ${isFaint}`, onPick }));
      });
    });
  }

  mark(route, stop, { place, beside, look, onPick }) {
    const element = h(
      "div",
      {
        class: `plan-stop ${look} is-${stop.role} ${stop.is_new ? "" : "is-old"}`,
        "data-order": stop.order_id,
        css: { "--beside": `${beside * MARK_PX}px` },
      },
      String(place + 1),
    );
    const marker = L.marker([stop.lat, stop.lon], {
      icon: L.divIcon({ html: element, className: "plan-icon", iconSize: [20, 20] }),
      keyboard: false,
      alt: `${route.runner_name} ${place + 1}`,
      zIndexOffset: 1100,
    });
    marker.on("click", () => onPick(route.runner_id));
    // An element, never a string: Leaflet would read a string as markup.
    marker.bindTooltip(h("span", {}, `${place + 1} · ${route.runner_name} · ${stop.code}`), { direction: "top" });
    return marker;
  }

  clear() {
    this.group.clearLayers();
  }
}
