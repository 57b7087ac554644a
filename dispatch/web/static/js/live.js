/**
 * The hub's client, one for all pages: topics followed with resume, positions both ways, over one connection that comes
 * back by itself. Frames are described in docs/PROTOCOL.md.
 */

import { FixSender } from "./fix-sender.js";
import { Topic } from "./live/topic.js";
import { Wire } from "./live/wire.js";

/** A follow that the server could not answer now is asked again after so long and up to as long again, milliseconds. */
const ASK_AGAIN_MS = 2000;
const FOR_LATER = new Set(["unavailable", "too_many", "too_many_topics"]);
/** Whoever is still there is shown again within so long after a topic is followed. */
const SHOWN_AGAIN_MS = 3000;
const FOR_GOOD = new Set(["not_found", "not_permitted"]);

/**
 * @typedef {"connecting" | "live" | "waiting" | "offline" | "ended"} LiveState
 * @typedef {object} Listener
 * @property {(data: any) => void} [onSnapshot] the whole state: forget what was known before
 * @property {(event: {id: string, kind: string, at: number, data: any}) => void} [onEvent] each once, in order
 * @property {(positions: Position[], isCatchingUp: boolean) => void} [onPositions] each newer than the one before;
 *   `isCatchingUp`: as they were when somebody began to look, not as they come in
 * @property {(runnerIds: string[]) => void} [onGone]
 * @property {(code: string) => void} [onClosed] the topic ended; it is not followed again
 * @typedef {object} Position
 * @property {string} id
 * @property {number} lat
 * @property {number} lon
 * @property {number} at fixed_at, business milliseconds
 * @property {number | null} bearing
 * @property {number | null} speed
 * @property {number | null} accuracy
 * @property {number | null} receivedAt when the server had it, business milliseconds
 * @typedef {import("./live/topic.js").View} View
 * @typedef {{everyMs: number, distanceM: number | null}} Rhythm how often the server wants a runner's fixes, real time
 */

export class Live {
  /**
   * @param {object} options
   * @param {import("./api.js").Api} options.api
   * @param {boolean} [options.acks] this page reports fixes
   * @param {boolean} [options.worksHidden] the page is of use while nobody looks at it
   */
  constructor({ api, acks = false, worksHidden = acks }) {
    /** @type {Map<string, Topic>} */
    this.topics = new Map();
    this.watchers = new Set();
    /** The server has answered a view: it can be asked for in the same breath as the topic. */
    this.knowsViews = false;
    /** @type {Rhythm | null} */
    this.rhythm = null;
    this.wire = new Wire({
      api,
      acks,
      worksHidden,
      onFrame: (frame) => this.take(frame),
      onLive: (welcome) => this.began(welcome),
      onDown: () => this.went(),
      onChange: () => this.notify(),
    });
    this.fixes = new FixSender(
      (frame) => this.wire.send(frame),
      () => this.notify(),
    );
  }

  get state() {
    return this.wire.state;
  }

  get closeCode() {
    return this.wire.closeCode;
  }

  get retryAt() {
    return this.wire.retryAt;
  }

  /** Seconds since anything was heard; null before the first word. */
  get silentS() {
    return this.wire.silentS;
  }

  /** @param {(live: Live) => void} watcher told of every change of the connection's state */
  watch(watcher) {
    this.watchers.add(watcher);
    watcher(this);
  }

  notify() {
    for (const watcher of this.watchers) watcher(this);
  }

  start() {
    this.wire.start();
  }

  stop() {
    this.wire.stop();
  }

  /** Somebody pressed for it. */
  hurry() {
    this.wire.hurry({ isAsked: true });
  }

  // --- topics

  /**
   * Follow a topic until the returned function is called.
   * @param {string} name
   * @param {Listener} listener
   * @param {View} [view]
   */
  follow(name, listener, view) {
    const topic = new Topic(name, listener, view);
    this.topics.set(name, topic);
    if (this.state === "live") this.askToFollow(topic);
    return () => this.unfollow(topic);
  }

  /** @param {Topic} topic */
  unfollow(topic) {
    if (this.topics.get(topic.name) !== topic) return;
    this.topics.delete(topic.name);
    this.wire.send({ t: "unfollow", topic: topic.name });
  }

  /**
   * Ask for another rhythm or part of the map; it holds until it is replaced.
   * @param {string} name
   * @param {View} view
   */
  view(name, view) {
    const topic = this.topics.get(name);
    if (!topic) return;
    topic.view = view;
    if (topic.isFollowed) this.askForView(topic);
  }

  /** @param {Topic} topic */
  askForView(topic) {
    this.wire.send({ t: "view", re: this.wire.nextNumber(), topic: topic.name, ...framed(topic.view) });
  }

  /** @param {Topic} topic */
  askToFollow(topic) {
    topic.asked = this.wire.nextNumber();
    const view = this.knowsViews ? framed(topic.view) : {};
    this.wire.send({ t: "follow", re: topic.asked, topic: topic.name, ...topic.place, ...view });
  }

  began(welcome) {
    this.rhythm = { everyMs: welcome.report_every_ms, distanceM: null };
    for (const topic of this.topics.values()) this.askToFollow(topic);
    this.fixes.resume();
    this.notify();
  }

  went() {
    for (const topic of this.topics.values()) topic.lost();
    this.fixes.pause();
  }

  /** A later server may say more than this page understands. */
  take(frame) {
    HANDLERS[frame.t]?.(this, frame);
  }
}

/** @param {View} view */
function framed({ everyMs, box }) {
  return { ...(everyMs ? { every_ms: everyMs } : {}), ...(box ? { box } : {}) };
}

/** @type {Record<string, (live: Live, frame: any) => void>} */
const HANDLERS = {
  followed(live, frame) {
    const topic = live.topics.get(frame.topic);
    if (!topic) return;
    topic.followed(frame);
    if (topic.doubtful.size) {
      setTimeout(() => {
        const gone = live.topics.get(topic.name) === topic && topic.isFollowed ? topic.takeDoubtful() : [];
        if (gone.length) topic.listener.onGone?.(gone);
      }, SHOWN_AGAIN_MS);
    }
    const { everyMs, box } = topic.view;
    if (!live.knowsViews && (everyMs || box)) live.askForView(topic);
  },
  viewed(live, frame) {
    live.knowsViews = true;
    const topic = live.topics.get(frame.topic);
    if (topic) topic.isCatchingUp = true;
  },
  snapshot(live, frame) {
    live.topics.get(frame.topic)?.listener.onSnapshot?.(frame.data);
  },
  event(live, frame) {
    const topic = live.topics.get(frame.topic);
    const found = topic?.take(frame);
    if (found === "new") topic.listener.onEvent?.(frame);
    // Something is missing: what comes now waits until the server has told it again from there.
    else if (found === "hole" && topic.asked === null) live.askToFollow(topic);
  },
  pos(live, frame) {
    const topic = live.topics.get(frame.topic);
    if (!topic) return;
    const fresh = topic.takePositions(frame.p.map(position));
    const { isCatchingUp } = topic;
    topic.isCatchingUp = false;
    if (fresh.length) topic.listener.onPositions?.(fresh, isCatchingUp);
  },
  gone(live, frame) {
    const topic = live.topics.get(frame.topic);
    topic?.forget(frame.runners);
    topic?.listener.onGone?.(frame.runners);
  },
  closed(live, frame) {
    const topic = live.topics.get(frame.topic);
    live.topics.delete(frame.topic);
    topic?.listener.onClosed?.(frame.code);
  },
  ack(live, frame) {
    live.fixes.acknowledge(frame.seq);
  },
  refused(live, frame) {
    live.fixes.refuse(frame);
  },
  report(live, frame) {
    live.rhythm = { everyMs: frame.every_ms, distanceM: frame.distance_m };
    live.notify();
  },
  error(live, frame) {
    console.warn("hub:", frame.code, frame.message, frame.field ?? "");
    const topic = live.topics.get(frame.topic);
    if (!topic || topic.asked === null || frame.re !== topic.asked) return;
    if (FOR_GOOD.has(frame.code)) return HANDLERS.closed(live, frame);
    if (!FOR_LATER.has(frame.code)) return;
    setTimeout(
      () => {
        const isWaiting = live.topics.get(topic.name) === topic && topic.asked === frame.re;
        if (isWaiting && live.state === "live") live.askToFollow(topic);
      },
      ASK_AGAIN_MS * (1 + Math.random()),
    );
  },
};

/** @returns {Position} */
function position([id, lat, lon, at, bearing, speed, accuracy, receivedAt]) {
  return {
    id,
    lat,
    lon,
    at,
    bearing: bearing ?? null,
    speed: speed ?? null,
    accuracy: accuracy ?? null,
    receivedAt: receivedAt ?? null,
  };
}
