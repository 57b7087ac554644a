/**
 * How old positions are when they are shown: percentiles of the last minute, and of every ten seconds of the last ten
 * minutes. Ages are real milliseconds; they go into buckets that grow by a tenth, so that memory does not grow with
 * the number of runners and a percentile is off by no more than five per cent.
 */

const GROWTH = Math.log(1.1);
const SMALLEST_MS = 1;
const MOST_BUCKETS = 160;
export const STEP_MS = 10_000;
export const STEPS = 60;
/** The figure tells of so many of the newest steps. */
const FIGURE_STEPS = 6;
/** Up to here it is good, up to there slow, beyond it bad: p95, milliseconds. */
export const GOOD_MS = 1000;
export const SLOW_MS = 3000;

/** @typedef {{p50: number, p95: number, count: number}} Ages milliseconds */

/** @param {Ages | null} ages @returns {"good" | "slow" | "bad" | "none"} */
export function verdict(ages) {
  if (!ages) return "none";
  return ages.p95 <= GOOD_MS ? "good" : ages.p95 <= SLOW_MS ? "slow" : "bad";
}

export class Freshness {
  constructor() {
    /** Number of the step to its counts by bucket, oldest first. @type {Map<number, Uint32Array>} */
    this.steps = new Map();
  }

  /** @param {number} ageMs real milliseconds @param {number} at `performance.now()` */
  add(ageMs, at) {
    const step = Math.floor(at / STEP_MS);
    let counts = this.steps.get(step);
    if (!counts) {
      counts = new Uint32Array(MOST_BUCKETS);
      this.steps.set(step, counts);
      for (const old of this.steps.keys()) if (old <= step - STEPS) this.steps.delete(old);
    }
    counts[bucketOf(ageMs)] += 1;
  }

  /** Of the last minute; null when nothing came. @param {number} at @returns {Ages | null} */
  figure(at) {
    const last = Math.floor(at / STEP_MS);
    return agesOf([...this.steps].filter(([step]) => step > last - FIGURE_STEPS).map(([, counts]) => counts));
  }

  /** One per step, oldest first; null where nothing came. @param {number} at @returns {(Ages | null)[]} */
  series(at) {
    const last = Math.floor(at / STEP_MS);
    return Array.from({ length: STEPS }, (_, index) => {
      const counts = this.steps.get(last - STEPS + 1 + index);
      return counts ? agesOf([counts]) : null;
    });
  }
}

function bucketOf(ageMs) {
  if (!(ageMs > SMALLEST_MS)) return 0;
  return Math.min(MOST_BUCKETS - 1, Math.ceil(Math.log(ageMs / SMALLEST_MS) / GROWTH));
}

/** The middle of a bucket. */
function ageOf(bucket) {
  return bucket === 0 ? SMALLEST_MS : SMALLEST_MS * Math.exp((bucket - 0.5) * GROWTH);
}

/** @param {Uint32Array[]} parts @returns {Ages | null} */
function agesOf(parts) {
  const counts = new Uint32Array(MOST_BUCKETS);
  for (const part of parts) part.forEach((count, bucket) => (counts[bucket] += count));
  const count = counts.reduce((sum, each) => sum + each, 0);
  if (!count) return null;
  const percentile = (share) => {
    let left = Math.ceil(share * count);
    return ageOf(counts.findIndex((each) => (left -= each) <= 0));
  };
  return { p50: percentile(0.5), p95: percentile(0.95), count };
}
