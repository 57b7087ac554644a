/** The campus's business time, which may run faster than the wall's (a demonstration) and is told by the server. */

let baseMs = Date.now();
let baseAt = performance.now();
let rate = 1;

/**
 * @param {number} nowMs the server's business time
 * @param {number} [scale] business seconds per real second
 */
export function syncClock(nowMs, scale) {
  baseMs = nowMs;
  baseAt = performance.now();
  if (scale && scale > 0) rate = scale;
}

/** Business time now, Unix milliseconds. */
export function now() {
  return Math.round(baseMs + (performance.now() - baseAt) * rate);
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
