/** When a reading is worth sending: every so often, or sooner after having moved so far, as the server asks for it. */

import { distanceM } from "../map.js";

/** However fast somebody moves, this is often enough. */
const FASTEST_MS = 250;
const FIRST_EVERY_MS = 5000;

/** @typedef {{lat: number, lon: number, acc?: number | null}} Reading */

export class Rhythm {
  constructor() {
    this.everyMs = FIRST_EVERY_MS;
    /** @type {number | null} null: distance does not matter */
    this.distanceM = null;
    /** @type {{lat: number, lon: number, atMs: number} | null} */
    this.sent = null;
  }

  /** @param {import("../live.js").Rhythm} wanted */
  follow({ everyMs, distanceM: far }) {
    if (everyMs > 0) this.everyMs = everyMs;
    this.distanceM = far;
  }

  /** @param {Reading} reading @param {number} atMs real milliseconds */
  isDue(reading, atMs) {
    if (!this.sent) return true;
    const sinceMs = atMs - this.sent.atMs;
    if (sinceMs < FASTEST_MS) return false;
    return sinceMs >= this.everyMs || this.hasMoved(reading);
  }

  /** A reading that is off by 40 m has not moved 10: what lies within its own error is no way walked. */
  hasMoved(reading) {
    if (this.distanceM === null || !this.sent) return false;
    return distanceM(reading, this.sent) >= Math.max(this.distanceM, reading.acc ?? 0);
  }

  /** A reading was due long ago and none came: a device that lies still may say nothing by itself. */
  isOverdue(atMs) {
    return !this.sent || atMs - this.sent.atMs > this.everyMs * 1.2;
  }

  /** @param {Reading} reading @param {number} atMs */
  reported({ lat, lon }, atMs) {
    this.sent = { lat, lon, atMs };
  }
}
