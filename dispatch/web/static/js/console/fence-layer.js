/** Geofences on the map: each with its name, and the one that is being drawn. */

import { h } from "../dom.js";
import { pick, t } from "../i18n.js";

const L = /** @type {any} */ (globalThis).L;

/**
 * @typedef {{kind: "circle", lat: number, lon: number, radius_m: number}} CircleShape
 * @typedef {{kind: "polygon", corners: number[][]}} PolygonShape
 */

export class FenceLayer {
  /**
   * @param {import("../map.js").CampusMap} map
   * @param {{onTap: (point: {lat: number, lon: number}) => void}} options called for a tap on the map while one draws
   */
  constructor(map, { onTap }) {
    this.map = map.leaflet;
    this.element = map.element;
    this.group = L.layerGroup().addTo(this.map);
    this.draft = L.layerGroup().addTo(this.map);
    this.drawn = "";
    this.map.on("click", ({ latlng }) => {
      if (this.element.classList.contains("is-drawing")) onTap({ lat: latlng.lat, lon: latlng.lng });
    });
  }

  /** @param {any[]} fences @param {string | null} chosenId */
  show(fences, chosenId) {
    const key = JSON.stringify([fences.map((f) => [f.id, f.version]), chosenId, document.documentElement.lang]);
    if (key === this.drawn) return;
    this.drawn = key;
    this.group.clearLayers();
    for (const fence of fences) {
      const zone = fence.zone ? `is-zone is-${fence.zone.mode}` : "";
      const shape = outline(fence.shape, `fence ${zone} ${fence.id === chosenId ? "is-chosen" : ""}`);
      const name = pick({ ...fence, name_zh: fence.name }, "name");
      // An element, never a string: Leaflet would read a string as markup, and a name is somebody's input.
      shape.bindTooltip(h("span", {}, fence.zone ? `${name} · ${t(`zone.mode.${fence.zone.mode}`)}` : name), {
        permanent: true,
        direction: "bottom",
        offset: [0, 7],
        className: "fence-name",
      });
      this.group.addLayer(shape);
    }
  }

  /** What is being drawn: the corners so far, and the shape once there is one. @param {any} shape null: nothing */
  sketch(shape) {
    this.element.classList.toggle("is-drawing", Boolean(shape));
    this.draft.clearLayers();
    if (!shape) return;
    if (shape.kind === "circle") {
      if (shape.lat !== null) this.draft.addLayer(outline(shape, "fence is-draft"));
      return;
    }
    if (shape.corners.length > 1) this.draft.addLayer(outline(shape, "fence is-draft"));
    for (const corner of shape.corners) {
      this.draft.addLayer(L.circleMarker(corner, { radius: 4, className: "fence-corner", interactive: false }));
    }
  }

  /** Whether names are shown even where the map is small. @param {boolean} isNamed */
  setNamed(isNamed) {
    this.element.classList.toggle("has-fence-names", isNamed);
  }

  /** Bring a fence into view. */
  lookAt(shape) {
    const bounds =
      shape.kind === "circle"
        ? L.latLng(shape.lat, shape.lon).toBounds(2 * shape.radius_m)
        : L.latLngBounds(shape.corners);
    if (!this.map.getBounds().contains(bounds)) this.map.fitBounds(bounds.pad(0.5), { maxZoom: 18 });
  }
}

function outline(shape, className) {
  const look = { className, interactive: false };
  if (shape.kind === "circle") return L.circle([shape.lat, shape.lon], { radius: shape.radius_m, ...look });
  return L.polygon(shape.corners, look);
}
