/** How often this device can bear new positions: one that draws slowly asks for fewer, and is still usable meanwhile. */

/** Of the time between two frames, drawing may take about an eighth: the rest is for whoever uses the page. */
const SHARE = 8;
/** The hub's own rhythm for a console: nothing need be asked for. */
const OWN_MS = 250;
export const STEPS_MS = [500, 1500, 5000, 15_000, 30_000];
const WEIGHT = 0.1;

export class Pace {
  constructor() {
    this.meanMs = 0;
    /** What is asked for; null: the hub's own rhythm. @type {number | null} */
    this.everyMs = null;
  }

  /** @param {number} tookMs to draw what came with one frame */
  drawn(tookMs) {
    this.meanMs += WEIGHT * (tookMs - this.meanMs);
    const wanted = this.stepFor(this.meanMs * SHARE);
    // Slower at once, faster only when there is room to spare: a wish that flickers helps nobody.
    if ((wanted ?? OWN_MS) > (this.everyMs ?? OWN_MS)) this.everyMs = wanted;
    else if (this.everyMs !== null) {
      const relaxed = this.stepFor(this.meanMs * SHARE * 2);
      if ((relaxed ?? OWN_MS) < this.everyMs) this.everyMs = relaxed;
    }
  }

  /** @param {number} leastMs @returns {number | null} */
  stepFor(leastMs) {
    if (leastMs <= OWN_MS) return null;
    return STEPS_MS.find((step) => step >= leastMs) ?? STEPS_MS[STEPS_MS.length - 1];
  }
}
