/** What moves and matters on the campus: runners, stops, the way walked and the way to go. */

import { now } from "./clock.js";
import { h } from "./dom.js";
import { clockTime, duration, t } from "./i18n.js";

const L = /** @type {any} */ (globalThis).L;
/** Business seconds after which a dot is pale, and after which it is taken away. */
export const PALE_AFTER_S = 60;
export const GONE_AFTER_S = 300;

/** @typedef {"idle" | "carrying" | "late" | "off"} RunnerLook */

/** One shape per meaning besides its colour: ring, arrow disc, diamond. */
function runnerShape(look, text) {
  const body = {
    idle: h("circle", { cx: 15, cy: 15, r: 8.5 }),
    carrying: h("circle", { cx: 15, cy: 15, r: 10.5 }),
    late: h("path", { d: "M15 2.500L27.500 15 15 27.500 2.500 15z" }),
    off: h("circle", { cx: 15, cy: 15, r: 6.5 }),
  }[look];
  return h(
    "svg",
    { viewBox: "0 0 30 30", "aria-hidden": "true" },
    h("path", { class: "heading", d: "M15 -3L19.500 3.800h-9z" }),
    h("g", { class: "body" }, body),
    h("text", { x: 15, y: 19 }, text),
  );
}

export class RunnerLayer {
  /**
   * @param {import("./map.js").CampusMap} map
   * @param {{onPick?: (id: string) => void}} [options]
   */
  constructor(map, { onPick } = {}) {
    this.map = map.leaflet;
    this.onPick = onPick;
    /** @type {Map<string, any>} */
    this.markers = new Map();
  }

  /**
   * Put a runner on the map or move them.
   * @param {string} id
   * @param {{lat: number, lon: number, at: number, bearing?: number | null}} position
   * @param {{look: RunnerLook, text?: string, name: string}} face
   */
  put(id, position, face) {
    let entry = this.markers.get(id);
    if (!entry) {
      const element = h("div", { class: "runner-dot" });
      const tip = h("span", {});
      const marker = L.marker([position.lat, position.lon], {
        icon: L.divIcon({ html: element, className: "runner-icon", iconSize: [30, 30] }),
        keyboard: Boolean(this.onPick),
        alt: face.name,
        zIndexOffset: 500,
      }).addTo(this.map);
      if (this.onPick) {
        marker.on("click", () => this.onPick(id));
        // An element, never a string: Leaflet would read a string as markup, and a name is somebody's input.
        marker.bindTooltip(tip, { direction: "top", offset: [0, -14], className: "runner-tip" });
      }
      entry = { marker, element, tip, key: "", position };
      this.markers.set(id, entry);
    }
    entry.position = position;
    entry.name = face.name;
    entry.marker.setLatLng([position.lat, position.lon]);
    const key = `${face.look}|${face.text ?? ""}`;
    if (entry.key !== key) {
      entry.key = key;
      entry.element.className = `runner-dot is-${face.look}`;
      entry.element.replaceChildren(runnerShape(face.look, face.text ?? ""));
      if (entry.isChosen) entry.element.classList.add("is-chosen");
    }
    const hasBearing = position.bearing !== null && position.bearing !== undefined;
    entry.element.classList.toggle("has-bearing", hasBearing);
    if (hasBearing) entry.element.style.setProperty("--bearing", `${position.bearing}deg`);
    this.age(id, entry);
  }

  /** Old news looks old, says how old it is, and then goes. */
  age(id, entry) {
    const seconds = (now() - entry.position.at) / 1000;
    const isPale = seconds > PALE_AFTER_S;
    entry.element.classList.toggle("is-stale", isPale);
    entry.marker.setOpacity(seconds > GONE_AFTER_S ? 0 : isPale ? 0.5 : 1);
    const text = isPale ? `${entry.name} · ${t("map.last_seen", { age: duration(seconds) })}` : entry.name;
    if (entry.tip.textContent !== text) entry.tip.textContent = text;
  }

  ageAll() {
    for (const [id, entry] of this.markers) this.age(id, entry);
  }

  choose(id) {
    for (const [other, entry] of this.markers) {
      entry.isChosen = other === id;
      entry.element.classList.toggle("is-chosen", other === id);
      entry.marker.setZIndexOffset(other === id ? 1000 : 500);
    }
  }

  remove(id) {
    this.markers.get(id)?.marker.remove();
    this.markers.delete(id);
  }

  clear() {
    for (const id of [...this.markers.keys()]) this.remove(id);
  }

  /** The runner whose dot is nearest to a place of the screen, within `reachPx`. */
  nearestTo(clientX, clientY, reachPx = 34) {
    const box = this.map.getContainer().getBoundingClientRect();
    const here = L.point(clientX - box.left, clientY - box.top);
    let best = null;
    for (const [id, entry] of this.markers) {
      const metres = this.map.latLngToContainerPoint(entry.marker.getLatLng()).distanceTo(here);
      if (metres <= reachPx) [best, reachPx] = [id, metres];
    }
    return best;
  }
}

/** Pins of one order: where it is fetched and where it goes, joined by a line. */
export class StopLayer {
  constructor(map, { onPick } = {}) {
    this.map = map.leaflet;
    this.onPick = onPick;
    this.orders = new Map();
  }

  /**
   * @param {string} id of the order
   * @param {import("./types.js").Stop[]} stops
   * @param {{isLate?: boolean, isWaiting?: boolean, isJoined?: boolean, title?: string, isSmall?: boolean}} [look]
   */
  put(id, stops, look = {}) {
    const key = JSON.stringify([
      stops.map((stop) => [stop.lat, stop.lon, stop.role]),
      look,
      document.documentElement.lang,
    ]);
    if (this.orders.get(id)?.key === key) return;
    this.remove(id);
    const group = L.layerGroup();
    const points = stops.map((stop) => [stop.lat, stop.lon]);
    if (look.isJoined && points.length > 1) {
      group.addLayer(L.polyline(points, { className: "order-line", interactive: false, dashArray: "3 7" }));
    }
    for (const stop of stops) group.addLayer(this.pin(id, stop, look));
    group.addTo(this.map);
    this.orders.set(id, { group, key });
  }

  pin(id, stop, { isLate, isWaiting, isSmall, isJoined, title }) {
    const flags = `${isLate ? "is-late" : ""} ${isWaiting ? "is-waiting" : ""} ${isSmall && !isJoined ? "is-small" : ""} ${isJoined ? "is-joined" : ""}`;
    const element = h(
      "div",
      { class: `stop-pin is-${stop.role} ${flags}` },
      h("span", {}, t(`stop.short.${stop.role}`)),
    );
    const marker = L.marker([stop.lat, stop.lon], {
      icon: L.divIcon({ html: element, className: "stop-icon", iconSize: [26, 26] }),
      interactive: Boolean(this.onPick),
      keyboard: false,
      zIndexOffset: isJoined ? 900 : isWaiting ? 300 : 100,
    });
    if (this.onPick) {
      marker.on("click", () => this.onPick(id));
      marker.bindTooltip(h("span", {}, title ?? stop.label), {
        direction: "top",
        offset: [0, -12],
        className: "runner-tip",
      });
    }
    return marker;
  }

  remove(id) {
    this.orders.get(id)?.group.remove();
    this.orders.delete(id);
  }

  /** Take away every order that is not among `ids`. */
  keepOnly(ids) {
    for (const id of [...this.orders.keys()]) if (!ids.has(id)) this.remove(id);
  }
}

/** The way walked (solid) and the way to go (dotted). */
export class WayLayer {
  constructor(map) {
    this.map = map.leaflet;
    this.done = L.polyline([], { className: "way way-done", interactive: false }).addTo(this.map);
    this.rest = L.polyline([], { className: "way way-rest", interactive: false, dashArray: "1 9" }).addTo(this.map);
  }

  /** @param {number[][]} done [lat, lon, …] @param {number[][]} rest */
  show(done, rest) {
    this.done.setLatLngs(done.map(([lat, lon]) => [lat, lon]));
    this.rest.setLatLngs(rest.map(([lat, lon]) => [lat, lon]));
  }

  extend(point) {
    this.done.addLatLng([point.lat, point.lon]);
  }

  clear() {
    this.show([], []);
  }
}

/** The device's own place with the circle of its accuracy. */
export class OwnPlaceLayer {
  constructor(map) {
    this.map = map.leaflet;
    this.circle = null;
  }

  show(point, accuracyM) {
    if (!this.circle) {
      this.circle = L.circle([point.lat, point.lon], {
        radius: accuracyM ?? 0,
        className: "own-accuracy",
        interactive: false,
      });
      this.circle.addTo(this.map);
    }
    this.circle.setLatLng([point.lat, point.lon]);
    this.circle.setRadius(Math.min(accuracyM ?? 0, 2000));
  }
}

/** When a position was taken, in words. */
export function positionAge(atMs) {
  const seconds = (now() - atMs) / 1000;
  return seconds > PALE_AFTER_S
    ? t("map.last_seen_at", { time: clockTime(atMs) })
    : t("map.updated", { age: duration(seconds) });
}
