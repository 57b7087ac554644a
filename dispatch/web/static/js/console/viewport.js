/** What part of the map the console asks for, and how often: no more than somebody sees or the device can draw. */

import { Pace } from "./pace.js";

const SETTLED_MS = 400;
/** Up to so many runners all are told: the list beside the map then knows everybody's place to the second. With more,
 * it has the places of those outside the map from the whole that is fetched every half minute. */
export const MOST_WHOLE = 300;
/** Dots a little outside the map walk into it. */
const MARGIN = 0.2;
/** Corners lie on a grid of about 200 m, so that those who look at the same get the same frames. */
const GRID_DEG = 0.002;
const HIDDEN_EVERY_MS = 5000;

/** @typedef {import("../live.js").View} View */

export class Viewport {
  /**
   * @param {object} parts
   * @param {import("../live.js").Live} parts.live
   * @param {string} parts.topic
   * @param {import("../map.js").CampusMap} parts.map
   * @param {() => number} parts.countRunners
   */
  constructor({ live, topic, map, countRunners }) {
    Object.assign(this, { live, topic, map, countRunners });
    this.pace = new Pace();
    this.said = "{}";
    map.leaflet.on("moveend zoomend resize", () => this.later());
    document.addEventListener("visibilitychange", () => this.say());
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.say(), SETTLED_MS);
  }

  /** Tell the server, if it is another wish than before. */
  say() {
    clearTimeout(this.timer);
    const wish = this.wish();
    const text = JSON.stringify(wish);
    if (text === this.said) return;
    this.said = text;
    this.live.view(this.topic, wish);
  }

  /** @returns {View} */
  wish() {
    const box = this.countRunners() > MOST_WHOLE ? this.box() : null;
    const everyMs = document.hidden ? HIDDEN_EVERY_MS : this.pace.everyMs;
    return { ...(box ? { box } : {}), ...(everyMs ? { everyMs } : {}) };
  }

  /** @returns {import("../live/topic.js").Box | null} null: the whole campus is seen */
  box() {
    const seen = this.map.leaflet.getBounds().pad(MARGIN);
    if (seen.contains(this.map.bounds)) return null;
    const down = (deg, least) => Math.max(least, Math.floor(deg / GRID_DEG) * GRID_DEG);
    const up = (deg, most) => Math.min(most, Math.ceil(deg / GRID_DEG) * GRID_DEG);
    const [south, west] = [down(seen.getSouth(), -90), down(seen.getWest(), -180)];
    const [north, east] = [up(seen.getNorth(), 90), up(seen.getEast(), 180)];
    return [tidy(south), tidy(west), tidy(north), tidy(east)];
  }
}

/** Without the tail of digits that dividing by a grid leaves. @param {number} deg */
function tidy(deg) {
  return Number(deg.toFixed(3));
}
