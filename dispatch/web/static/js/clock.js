/** The campus's business time, which may run faster than the wall's (a demonstration) and is told by the server. */

/** What an answer may have taken whose way nobody timed, real milliseconds. */
const UNTIMED_MS = 500;
/** Clocks drift apart: an older sample gives way even to a slower answer. */
const TRUST_MS = 120_000;
/** So far off is no slow answer: the server's clock was set. */
const JUMP_MS = 1000;

let base = { nowMs: Date.now(), at: performance.now(), tripMs: Infinity };
let rate = 1;

/**
 * Hear the server's time. Of many answers the quickest is believed, since half its way is all that it can be off by.
 * @param {number} nowMs the server's business time
 * @param {number} [scale] business seconds per real second
 * @param {number} [tripMs] real milliseconds between the question and this answer
 */
export function syncClock(nowMs, scale, tripMs) {
  const at = performance.now();
  const isOtherRate = Boolean(scale) && scale > 0 && scale !== rate;
  if (isOtherRate) rate = scale;
  const fresh = { nowMs: nowMs + ((tripMs ?? 0) / 2) * rate, at, tripMs: tripMs ?? UNTIMED_MS };
  const offMs = Math.abs(fresh.nowMs - base.nowMs - (at - base.at) * rate) / rate;
  const isJump = offMs > (fresh.tripMs + base.tripMs) / 2 + JUMP_MS;
  if (isOtherRate || isJump || fresh.tripMs <= base.tripMs || at - base.at > TRUST_MS) base = fresh;
}

/** Business time now, Unix milliseconds. */
export function now() {
  return Math.round(base.nowMs + (performance.now() - base.at) * rate);
}

export function timeScale() {
  return rate;
}

/** How many real seconds until the business instant `atMs` (negative: since). */
export function realSecondsUntil(atMs) {
  return (atMs - now()) / 1000 / rate;
}

/** Call `tick` every second while the page is alive. */
export function everySecond(tick) {
  return setInterval(tick, 1000);
}
