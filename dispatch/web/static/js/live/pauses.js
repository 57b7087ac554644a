/** How long to wait before coming back: growing, by full jitter, and never sooner than the server asked for. */

/** A lost connection: the ceiling of the first pause, and of every later one, milliseconds. */
const LOST_MS = { first: 1000, most: 30_000 };
/** The handshake itself failed: the server is down, or so full that it answered 503, which a page cannot read. */
const REFUSED_MS = { first: 2000, most: 60_000 };
/** Nobody is looking and nothing waits to be sent. */
const HIDDEN_MS = { least: 30_000, most: 60_000 };
const LONGEST_ASKED_MS = 300_000;

/** The milliseconds that a close reason such as `server_drain retry_ms=2500` asks for. @param {string} [reason] */
export function askedMs(reason) {
  const found = /\bretry_ms=(\d+)/.exec(reason ?? "");
  return found ? Math.min(LONGEST_ASKED_MS, Number(found[1])) : 0;
}

export class Pauses {
  /** @param {() => number} [luck] 0..1 */
  constructor(luck = Math.random) {
    this.luck = luck;
    this.attempt = 0;
    this.notBefore = 0;
  }

  /** It went well for a while, or the world has changed: begin anew with short pauses. */
  reset() {
    this.attempt = 0;
  }

  /**
   * A thousand pages that lost the same server must not come back in the same instant.
   * @param {{isRefused?: boolean, askedMs?: number, isIdle?: boolean}} how `isIdle`: nobody would notice
   * @returns {number} milliseconds to wait
   */
  next({ isRefused = false, askedMs: asked = 0, isIdle = false }) {
    const { first, most } = isRefused ? REFUSED_MS : LOST_MS;
    const ceiling = Math.min(most, first * 2 ** Math.min(this.attempt, 16));
    this.attempt += 1;
    this.notBefore = performance.now() + asked;
    const wait = asked + ceiling * this.luck();
    return isIdle ? Math.max(wait, HIDDEN_MS.least + (HIDDEN_MS.most - HIDDEN_MS.least) * this.luck()) : wait;
  }

  /** What is left of the time that the server asked for. */
  get owedMs() {
    return Math.max(0, this.notBefore - performance.now());
  }
}
