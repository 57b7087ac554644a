/** A previewed plan on the map: for each runner a line from where they are to their stops, numbered in order. */

import { h } from "../dom.js";

const L = /** @type {any} */ (globalThis).L;
/** Told apart by number and name as well: the colours only help. */
const TONES = 8;

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
    routes.forEach((route, index) => {
      const stops = route.stops.filter((stop) => !(stop.is_new && isOff(stop.order_id)));
      if (!stops.some((stop) => stop.is_new)) return;
      const tone = `tone-${index % TONES}`;
      const isFaint = chosenId && chosenId !== route.runner_id ? "is-faint" : "";
      const line = [route.start, ...stops.map((stop) => [stop.lat, stop.lon])];
      this.group.addLayer(L.polyline(line, { className: `plan-line ${tone} ${isFaint}`, interactive: false }));
      stops.forEach((stop, place) => this.group.addLayer(this.mark(route, stop, place, `${tone} ${isFaint}`, onPick)));
    });
  }

  mark(route, stop, place, look, onPick) {
    const element = h(
      "div",
      { class: `plan-stop ${look} is-${stop.role} ${stop.is_new ? "" : "is-old"}`, "data-order": stop.order_id },
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
