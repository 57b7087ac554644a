/** One followed topic: where it stands, what was heard already, and which position of each runner is the newest. */

/** How many event ids are remembered; a repeated one comes soon after the first or not at all. */
const REMEMBERED = 512;

/**
 * @typedef {import("../live.js").Listener} Listener
 * @typedef {import("../live.js").Position} Position
 * @typedef {[number, number, number, number]} Box south, west, north, east
 * @typedef {{everyMs?: number, box?: Box}} View `everyMs`: real milliseconds
 */

export class Topic {
  /** @param {string} name @param {Listener} listener @param {View} [view] */
  constructor(name, listener, view = {}) {
    this.name = name;
    this.listener = listener;
    this.view = view;
    /** @type {{offset: number, epoch: string} | null} */
    this.seat = null;
    this.isFollowed = false;
    /** The number of the request that waits for `followed`. @type {number | null} */
    this.asked = null;
    /** The next positions are those of a moment ago, told because somebody came or looked elsewhere. */
    this.isCatchingUp = true;
    this.ids = new Set();
    /** Runner to the time of the newest position. @type {Map<string, number>} */
    this.newest = new Map();
    /** Who was shown before it was followed again and has not been since. @type {Set<string>} */
    this.doubtful = new Set();
  }

  /** What to say on coming back; without an epoch there is nothing to come back to. */
  get place() {
    return this.seat?.epoch ? this.seat : {};
  }

  /** @param {{recovered: boolean, offset: number, epoch: string}} frame also in the middle of a connection */
  followed({ recovered, offset, epoch }) {
    this.isFollowed = true;
    this.asked = null;
    this.isCatchingUp = true;
    for (const id of this.newest.keys()) this.doubtful.add(id);
    // The events that were missed come next and move the offset; a snapshot stands at it already.
    if (recovered && this.seat) this.seat.epoch = epoch;
    else {
      this.seat = { offset, epoch };
      this.newest.clear();
    }
  }

  lost() {
    this.isFollowed = false;
    this.asked = null;
  }

  /**
   * @param {{id: string, offset: number}} event
   * @returns {"new" | "known" | "hole"} hole: others are missing before it
   */
  take({ id, offset }) {
    if (this.ids.has(id)) {
      if (this.seat && offset === this.seat.offset + 1) this.seat.offset = offset;
      return "known";
    }
    if (this.seat?.epoch) {
      if (offset <= this.seat.offset) return "known";
      if (offset > this.seat.offset + 1) return "hole";
    }
    if (this.seat) this.seat.offset = offset;
    this.ids.add(id);
    if (this.ids.size > REMEMBERED) this.ids.delete(this.ids.values().next().value);
    return "new";
  }

  /** Those that are newer than what is known of their runner. @param {Position[]} positions */
  takePositions(positions) {
    for (const { id } of positions) this.doubtful.delete(id);
    const fresh = positions.filter(({ id, at }) => at > (this.newest.get(id) ?? -Infinity));
    for (const { id, at } of fresh) this.newest.set(id, at);
    return fresh;
  }

  /** @param {string[]} runnerIds */
  forget(runnerIds) {
    for (const id of runnerIds) {
      this.newest.delete(id);
      this.doubtful.delete(id);
    }
  }

  /** Those whom the server did not show again; they are not there any more. @returns {string[]} */
  takeDoubtful() {
    // Outside a box nobody is shown, which says nothing of where they are.
    const gone = this.view.box ? [] : [...this.doubtful];
    this.doubtful.clear();
    this.forget(gone);
    return gone;
  }
}
