/** Reports the runner's own positions: at once when connected, newest first after a gap, each kept until it is acked. */

const KEPT = 720;
const BATCH = 240;

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
    /** Not yet acknowledged: sequence number to what it carried, oldest first. @type {Map<number, Fix[]>} */
    this.waiting = new Map();
    this.isOpen = false;
    /** @type {Fix | null} */
    this.newest = null;
    this.refusal = null;
    this.refused = 0;
  }

  /** @param {Fix} fix */
  report(fix) {
    this.newest = fix;
    this.seq += 1;
    this.waiting.set(this.seq, [fix]);
    // The oldest are the least worth when the gap is longer than the memory.
    while (this.waiting.size > KEPT) this.waiting.delete(this.waiting.keys().next().value);
    if (this.isOpen) this.send({ t: "fix", seq: this.seq, ...fix });
    this.notify();
  }

  pause() {
    this.isOpen = false;
  }

  /** After a gap: the newest batch goes first, so that the dot on the map is right before the track is whole. */
  resume() {
    this.isOpen = true;
    const backlog = [...this.waiting.values()]
      .flat()
      .sort((a, b) => b.at - a.at)
      .slice(0, KEPT);
    this.waiting.clear();
    for (let start = 0; start < backlog.length; start += BATCH) {
      const batch = backlog.slice(start, start + BATCH);
      this.seq += 1;
      this.waiting.set(this.seq, batch);
      this.send({ t: "fixes", seq: this.seq, fixes: batch });
    }
    this.notify();
  }

  /** Acks are conflated: everything up to `seq` has arrived. */
  acknowledge(seq) {
    for (const known of [...this.waiting.keys()]) if (known <= seq) this.waiting.delete(known);
    this.notify();
  }

  refuse(frame) {
    this.refused += 1;
    this.refusal = frame.code;
    this.notify();
  }

  get backlog() {
    return this.isOpen ? 0 : this.waiting.size;
  }
}
