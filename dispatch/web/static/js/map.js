/** The campus drawn from its own GeoJSON: ground, buildings and names, with no map tiles and no request to anybody. */

import { currentLanguage, onLanguage, t } from "./i18n.js";
import { h } from "./dom.js";

const L = /** @type {any} */ (globalThis).L;
/** Drawn from the ground up; everything of one class is one SVG path, so that a large campus stays light. */
const ORDER = [
  "boundary",
  "area-green",
  "area-wood",
  "area-pitch",
  "area-plaza",
  "area-parking",
  "area-water",
  "path-road-case",
  "path-road",
  "path-cycleway",
  "path-footway",
  "path-crossing",
  "path-steps",
  "building",
  "building-canteen",
  "building-dormitory",
  "building-library",
  "building-parcel",
  "building-sports",
  "zone-no_go",
  "zone-quiet",
];
/** Ground widths in metres: a road keeps its width on the ground when one zooms. */
const WIDTH_M = {
  "path-road": 7,
  "path-road-case": 8.5,
  "path-cycleway": 3,
  "path-footway": 2.6,
  "path-crossing": 2.6,
  "path-steps": 2.6,
};
const COLOURED_KINDS = new Set(["canteen", "dormitory", "library", "parcel", "sports"]);
const LABEL_GAP_PX = 6;

export class CampusMap {
  /**
   * @param {HTMLElement} element
   * @param {any} geojson
   * @param {{label: string, onTap?: (point: {lat: number, lon: number}) => void}} options `label` for screen readers
   */
  constructor(element, geojson, { label, onTap }) {
    element.setAttribute("role", "region");
    element.setAttribute("aria-label", label);
    this.element = element;
    this.leaflet = L.map(element, {
      zoomControl: false,
      attributionControl: false,
      zoomSnap: 0.25,
      zoomDelta: 0.5,
      wheelPxPerZoomLevel: 120,
      maxZoom: 21,
      minZoom: 12,
      renderer: L.svg({ padding: 0.6 }),
      maxBoundsViscosity: 0.8,
    });
    this.ground = L.layerGroup().addTo(this.leaflet);
    this.labels = new Labels(this.leaflet);
    this.draw(geojson);
    this.addControls();
    if (onTap) this.leaflet.on("click", ({ latlng }) => onTap({ lat: latlng.lat, lon: latlng.lng }));
    // Moving dots glide between fixes, except while the map itself moves.
    this.leaflet.on("zoomstart movestart", () => element.classList.add("is-moving"));
    this.leaflet.on("zoomend moveend", () => element.classList.remove("is-moving"));
    // A turned phone or another window shows the same again, unless somebody has chosen their own view.
    this.leaflet.on("dragstart", () => (this.frame = null));
    element.addEventListener("wheel", () => (this.frame = null), { passive: true });
    new ResizeObserver(() => {
      this.leaflet.invalidateSize({ pan: false });
      this.frame?.();
    }).observe(element);
  }

  draw(geojson) {
    this.geojson = geojson;
    this.ground.clearLayers();
    const groups = groupFeatures(geojson.features);
    const [west, south, east, north] = geojson.bbox ?? boundsOf(geojson.features);
    this.bounds = L.latLngBounds([south, west], [north, east]);
    this.leaflet.setMaxBounds(this.bounds.pad(0.6));
    this.fit();
    this.lines = [];
    for (const name of ORDER) {
      const rings = groups.get(name);
      if (!rings) continue;
      const isLine = name.startsWith("path");
      const shape = isLine
        ? L.polyline(rings, { className: `ground ${name}`, interactive: false })
        : L.polygon(rings, { className: `ground ${name}`, interactive: false });
      if (isLine) this.lines.push([shape, WIDTH_M[name] ?? 2]);
      this.ground.addLayer(shape);
    }
    for (const feature of geojson.features) {
      if (feature.properties.layer === "gate") this.ground.addLayer(gate(feature));
    }
    this.labels.show(geojson.features);
    this.leaflet.on("zoomend", () => this.scaleLines());
    this.scaleLines();
  }

  scaleLines() {
    const metresPerPx = groundScale(this.leaflet, this.bounds.getCenter().lat);
    this.element.classList.toggle("is-far", metresPerPx > 1.3);
    for (const [shape, width] of this.lines) shape.setStyle({ weight: Math.max(1, width / metresPerPx) });
  }

  addControls() {
    const button = (text, label, run) =>
      h("button", { type: "button", "aria-label": label, title: label, onclick: run }, text);
    const box = h("div", { class: "map-controls" });
    const paint = () =>
      box.replaceChildren(
        button("+", t("map.zoom_in"), () => ((this.frame = null), this.leaflet.zoomIn())),
        button("−", t("map.zoom_out"), () => ((this.frame = null), this.leaflet.zoomOut())),
        button("⤢", t("map.whole"), () => this.fit()),
      );
    paint();
    onLanguage(paint);
    L.DomEvent.disableClickPropagation(box);
    this.element.append(box);
    const attribution = this.geojson.properties?.attribution;
    if (attribution) this.element.append(h("div", { class: "map-attribution" }, attribution));
  }

  /** Show the whole campus. */
  fit() {
    this.frame = () => this.leaflet.fitBounds(this.bounds, { padding: [12, 12], animate: false });
    this.frame();
  }

  /**
   * Show these points, with room around them.
   * @param {{lat: number, lon: number}[]} points
   * @param {{maxZoom?: number, room?: number}} [options] `room`: around them, as a part of their extent
   */
  fitPoints(points, { maxZoom = 17.5, room = 0.25 } = {}) {
    const known = points.filter((point) => Number.isFinite(point?.lat));
    if (!known.length) return this.fit();
    const bounds = L.latLngBounds(known.map((point) => [point.lat, point.lon]));
    const show = (animate) => this.leaflet.fitBounds(bounds.pad(room), { maxZoom, padding: [28, 28], animate });
    this.frame = () => show(false);
    show(undefined);
  }

  panTo(point) {
    this.frame = null;
    this.leaflet.panTo([point.lat, point.lon]);
  }

  /** The name of the building at a point, or of the nearest one within 60 m; empty when it stands alone. */
  nameAt(point) {
    let best = "";
    let bestM = 60;
    for (const { properties, geometry } of this.geojson.features) {
      if (properties.layer !== "building" || !properties.name) continue;
      if (isInside(point, geometry.coordinates[0])) return nameOf(properties);
      const metres = distanceM(point, centreOf(geometry.coordinates[0]));
      if (metres < bestM) [best, bestM] = [nameOf(properties), metres];
    }
    return best;
  }

  /** Whether a point lies on the campus. */
  contains(point) {
    const area =
      this.geojson.features.find((f) => f.properties.layer === "service") ??
      this.geojson.features.find((f) => f.properties.layer === "boundary");
    return !area || isInside(point, area.geometry.coordinates[0]);
  }
}

/** Metres of ground per pixel in the map's projection. */
function groundScale(leaflet, lat) {
  return (156_543.03 * Math.cos((lat * Math.PI) / 180)) / 2 ** leaflet.getZoom();
}

/** Straight metres between two points. */
export function distanceM(a, b) {
  const x = (b.lon - a.lon) * Math.cos(((a.lat + b.lat) / 2) * (Math.PI / 180));
  return Math.hypot(x, b.lat - a.lat) * 111_195;
}

function nameOf({ name, name_en: english }) {
  return (currentLanguage() === "en" && english) || name || english || "";
}

function groupFeatures(features) {
  const groups = new Map();
  const put = (name, shape) => (groups.has(name) ? groups.get(name).push(shape) : groups.set(name, [shape]));
  const turn = (line) => line.map(([lon, lat]) => [lat, lon]);
  for (const {
    properties: { layer, kind },
    geometry: { type, coordinates },
  } of features) {
    if (type.endsWith("LineString")) {
      for (const line of type === "LineString" ? [coordinates] : coordinates) {
        put(`path-${kind}`, turn(line));
        if (kind === "road") put("path-road-case", turn(line));
      }
    } else if (type.endsWith("Polygon")) {
      const isPlain =
        layer === "boundary" || layer === "service" || (layer === "building" && !COLOURED_KINDS.has(kind));
      for (const rings of type === "Polygon" ? [coordinates] : coordinates) {
        put(isPlain ? layer : `${layer}-${kind}`, rings.map(turn));
      }
    }
  }
  return groups;
}

function boundsOf(features) {
  const ring = features.find((feature) => feature.properties.layer === "boundary").geometry.coordinates[0];
  const [lons, lats] = [ring.map((p) => p[0]), ring.map((p) => p[1])];
  return [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)];
}

function gate({
  geometry: {
    coordinates: [lon, lat],
  },
}) {
  return L.circleMarker([lat, lon], { radius: 2.5, className: "ground gate", interactive: false });
}

function isInside({ lat, lon }, ring) {
  let isIn = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i, i += 1) {
    const [xi, yi] = ring[i];
    const [xj, yj] = ring[j];
    if (yi > lat !== yj > lat && lon < ((xj - xi) * (lat - yi)) / (yj - yi) + xi) isIn = !isIn;
  }
  return isIn;
}

function centreOf(ring) {
  const last = ring.length - 1;
  const sum = ring.slice(0, last).reduce(([x, y], [lon, lat]) => [x + lon, y + lat], [0, 0]);
  return { lon: sum[0] / last, lat: sum[1] / last };
}

function areaOf(ring) {
  const k = Math.cos((ring[0][1] * Math.PI) / 180) * 111_195 ** 2;
  let twice = 0;
  for (let i = 0; i < ring.length - 1; i += 1) twice += ring[i][0] * ring[i + 1][1] - ring[i + 1][0] * ring[i][1];
  return Math.abs(twice / 2) * k;
}

/** Names where there is room for them: the larger thing first, none over another. */
class Labels {
  constructor(leaflet) {
    this.leaflet = leaflet;
    this.pane = leaflet.createPane("names");
    this.items = [];
    leaflet.on("zoomend moveend resize", () => this.place());
    onLanguage(() => {
      for (const item of this.items) item.size = null;
      this.place();
    });
  }

  show(features) {
    this.pane.replaceChildren();
    this.items = features
      .filter(({ properties }) => properties.name && ["building", "area", "place"].includes(properties.layer))
      .map(({ properties, geometry }) => {
        const isPoint = geometry.type === "Point";
        const ring = isPoint ? null : geometry.coordinates[0];
        const centre = isPoint ? { lon: geometry.coordinates[0], lat: geometry.coordinates[1] } : centreOf(ring);
        const area = isPoint ? 250 : areaOf(ring);
        // People look for canteens and parcels before they look for laboratories.
        const worth = area * (COLOURED_KINDS.has(properties.kind) ? 3 : properties.layer === "area" ? 0.3 : 1);
        const kind = properties.layer === "area" ? `on-${properties.kind}` : `of-${properties.kind}`;
        return { properties, centre, area, worth, element: h("span", { class: `place-name ${kind}` }), size: null };
      })
      .sort((a, b) => b.worth - a.worth);
    this.place();
  }

  place() {
    if (!this.leaflet._loaded) return;
    const view = this.leaflet.getBounds().pad(0.1);
    const metresPerPx = groundScale(this.leaflet, view.getCenter().lat);
    const taken = [];
    const shown = [];
    for (const item of this.items) {
      if (!view.contains([item.centre.lat, item.centre.lon])) continue;
      const text = nameOf(item.properties);
      const widthPx = [...text].reduce((sum, c) => sum + (c > "⺀" ? 12 : 6.6), 0);
      if (Math.sqrt(item.area) / metresPerPx < Math.min(widthPx * 0.55, 26)) continue;
      const at = this.leaflet.latLngToLayerPoint([item.centre.lat, item.centre.lon]);
      const box = [
        at.x - widthPx / 2 - LABEL_GAP_PX,
        at.y - 8 - LABEL_GAP_PX,
        at.x + widthPx / 2 + LABEL_GAP_PX,
        at.y + 8 + LABEL_GAP_PX,
      ];
      if (taken.some((b) => b[0] < box[2] && b[2] > box[0] && b[1] < box[3] && b[3] > box[1])) continue;
      taken.push(box);
      item.element.textContent = text;
      L.DomUtil.setPosition(item.element, at);
      shown.push(item.element);
    }
    this.pane.replaceChildren(...shown);
  }
}
