/**
 * Reports the runner's own positions: each at once when connected and kept until the server has it; after a gap the
 * newest goes first and live, and what was gathered follows behind it in batches, newest first.
 *
 * At most 1440 are kept, in memory (72 minutes at one every 3 seconds). Beyond that every second one of the older half
 * is let go, so that a long gap costs detail where it is oldest and never the newest part or the whole of the way.
 */

export const KEPT = 1440;
/** What one frame may carry. */
export const BATCH = 240;
/** The server had it already: sent once more because its answer was lost. */
const KNOWN = "duplicate";

/**
 * @typedef {object} Fix
 * @property {number} at business milliseconds of the reading
 * @property {number} lat
 * @property {number} lon
 * @property {number} [acc] metres
 * @property {number} [spd] metres per second
 * @property {number} [brg] degrees
 * @property {number} [bat] 0..1
 */

export class FixSender {
  /**
   * @param {(frame: object) => boolean} send
   * @param {() => void} notify
   */
  constructor(send, notify) {
    this.send = send;
    this.notify = notify;
    this.seq = 0;
    /** Not yet acknowledged, oldest first; `seq` 0: not sent on this connection. @type {{fix: Fix, seq: number}[]} */
    this.kept = [];
    /** The batch that is on its way; the next one follows its acknowledgement. */
    this.batch = 0;
    this.isOpen = false;
    /** @type {Fix | null} */
    this.newest = null;
    this.refusal = null;
    this.refused = 0;
    this.thinned = 0;
  }

  /** @param {Fix} fix */
  report(fix) {
    this.newest = fix;
    this.kept.push({ fix, seq: 0 });
    if (this.kept.length > KEPT) this.thin();
    if (this.isOpen) this.sendNewest();
    this.notify();
  }

  thin() {
    const half = Math.floor(KEPT / 2);
    const before = this.kept.length;
    this.kept = this.kept.filter((_, index) => index >= half || index % 2 === 0);
    this.thinned += before - this.kept.length;
  }

  pause() {
    this.isOpen = false;
    this.batch = 0;
    for (const one of this.kept) one.seq = 0;
  }

  /** After a gap: the dot on the map is right before the track is whole. */
  resume() {
    this.pause();
    this.isOpen = true;
    if (this.kept.length) this.sendNewest();
    this.sendBatch();
    this.notify();
  }

  sendNewest() {
    const newest = this.kept[this.kept.length - 1];
    newest.seq = this.nextSeq();
    this.send({ t: "fix", seq: newest.seq, ...newest.fix });
  }

  /** One batch at a time: what is live never queues behind a long backlog. */
  sendBatch() {
    const waiting = this.kept.filter(({ seq }) => seq === 0).slice(-BATCH);
    if (!this.isOpen || this.batch || !waiting.length) return;
    this.batch = this.nextSeq();
    for (const one of waiting) one.seq = this.batch;
    this.send({ t: "fixes", seq: this.batch, fixes: waiting.map(({ fix }) => fix).reverse() });
  }

  nextSeq() {
    this.seq += 1;
    return this.seq;
  }

  /** Acks are conflated: everything up to `seq` has been judged. */
  acknowledge(seq) {
    this.kept = this.kept.filter((one) => one.seq === 0 || one.seq > seq);
    if (this.batch <= seq) this.batch = 0;
    this.sendBatch();
    this.notify();
  }

  refuse({ code }) {
    if (code === KNOWN) return;
    this.refused += 1;
    this.refusal = code;
    this.notify();
  }

  /** How many still have to be sent. */
  get backlog() {
    return this.isOpen ? this.kept.filter(({ seq }) => seq === 0 || seq === this.batch).length : this.kept.length;
  }
}
