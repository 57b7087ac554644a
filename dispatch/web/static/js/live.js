/**
 * The hub's client, one for all pages: token, follow with resume, reconnect with back-off, positions both ways.
 *
 * Frames are described in docs/PROTOCOL.md. Close codes 4000-4499 mean "come back", 4500 and above "do not".
 */

import { syncClock } from "./clock.js";
import { FixSender } from "./fix-sender.js";

const PROTOCOL = "campus.v1.json";
const PING_EVERY_MS = 10_000;
const SILENT_AFTER_MS = 25_000;
const NOT_SIGNED_IN = 4500;
const BACKOFF_FIRST_MS = 400;
const BACKOFF_MAX_MS = 20_000;

/**
 * @typedef {"connecting" | "live" | "waiting" | "offline" | "ended"} LiveState
 * @typedef {{offset?: number, epoch?: string}} Seat
 * @typedef {object} Listener
 * @property {(data: any) => void} [onSnapshot] the whole state: forget what was known before
 * @property {(event: {id: string, kind: string, at: number, data: any}) => void} [onEvent]
 * @property {(positions: Position[]) => void} [onPositions]
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
 */

export class Live {
  /** @param {{api: import("./api.js").Api, acks?: boolean}} options `acks`: this page reports fixes */
  constructor({ api, acks = false }) {
    this.api = api;
    this.acks = acks;
    /** @type {LiveState} */
    this.state = "offline";
    this.closeCode = null;
    this.attempt = 0;
    this.retryAt = 0;
    this.heardAt = performance.now();
    this.positionsAt = null;
    this.roundTripMs = null;
    this.welcome = null;
    /** @type {Map<string, {listener: Listener, seat: Seat, isFollowed: boolean}>} */
    this.topics = new Map();
    this.watchers = new Set();
    this.fixes = new FixSender(
      (frame) => this.send(frame),
      () => this.notify(),
    );
    this.socket = null;
    this.isWanted = false;
    this.requests = 0;
    this.pings = new Map();
    addEventListener("online", () => this.hurry());
    addEventListener("offline", () => this.goOffline());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
    setInterval(() => this.keepAlive(), PING_EVERY_MS / 2);
  }

  /** @param {(live: Live) => void} watcher told of every change of the connection's state */
  watch(watcher) {
    this.watchers.add(watcher);
    watcher(this);
  }

  notify() {
    for (const watcher of this.watchers) watcher(this);
  }

  setState(state) {
    if (this.state !== state) {
      this.state = state;
      this.notify();
    }
  }

  start() {
    this.isWanted = true;
    this.open();
  }

  stop() {
    this.isWanted = false;
    this.closeCode = null;
    clearTimeout(this.timer);
    this.drop();
    this.setState("ended");
  }

  /** Seconds since anything was heard; null before the first word. */
  get silentS() {
    return (performance.now() - this.heardAt) / 1000;
  }

  /**
   * Follow a topic until the returned function is called.
   * @param {string} topic
   * @param {Listener} listener
   */
  follow(topic, listener) {
    this.topics.set(topic, { listener, seat: {}, isFollowed: false });
    if (this.state === "live") this.askToFollow(topic);
    return () => this.unfollow(topic, listener);
  }

  unfollow(topic, listener) {
    const entry = this.topics.get(topic);
    if (!entry || (listener && entry.listener !== listener)) return;
    this.topics.delete(topic);
    this.send({ t: "unfollow", topic });
  }

  askToFollow(topic) {
    const entry = this.topics.get(topic);
    if (!entry) return;
    const { offset, epoch } = entry.seat;
    const seat = epoch === undefined ? {} : { offset, epoch };
    this.requests += 1;
    this.send({ t: "follow", re: this.requests, topic, ...seat });
  }

  send(frame) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  async open() {
    clearTimeout(this.timer);
    if (!this.isWanted || this.socket || this.isOpening) return;
    if (!navigator.onLine) return this.setState("offline");
    this.isOpening = true;
    this.setState("connecting");
    let granted;
    try {
      granted = await this.api.post("/auth/socket-token");
    } catch (error) {
      this.isOpening = false;
      if (error.status === 401 || error.status === 403) return this.end(error.code);
      return this.retryLater();
    }
    this.isOpening = false;
    if (!this.isWanted) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws`, PROTOCOL);
    this.socket = socket;
    this.heardAt = performance.now();
    socket.onopen = () => this.hello(granted);
    socket.onmessage = (message) => socket === this.socket && this.hear(message.data);
    socket.onclose = (closing) => socket === this.socket && this.lose(closing.code);
  }

  /** Says who we are, and says it again before the token's time is over: the connection then goes on. */
  hello({ token, expires_in_s: expiresInS }) {
    this.send({ t: "hello", token, acks: this.acks });
    clearTimeout(this.renewal);
    const socket = this.socket;
    this.renewal = setTimeout(async () => {
      const granted = await this.api.post("/auth/socket-token").catch(() => null);
      if (granted && socket === this.socket) this.hello(granted);
    }, expiresInS * 700);
  }

  lose(code) {
    this.socket = null;
    clearTimeout(this.renewal);
    for (const entry of this.topics.values()) entry.isFollowed = false;
    this.fixes.pause();
    this.closeCode = code;
    if (code >= 4500 && code <= 4999) return this.end(code);
    this.retryLater();
  }

  end(code) {
    this.closeCode = code;
    this.isWanted = false;
    this.setState("ended");
    if (code === NOT_SIGNED_IN || code === "not_signed_in") this.askAgain();
  }

  /** The hub knows nobody here: with a session that still stands it is tried again, without one somebody signs in. */
  async askAgain() {
    const isGood = await this.api.renew().catch(() => true);
    if (this.state !== "ended" || this.closeCode === null) return;
    if (!isGood) return this.api.onSignedOut();
    this.isWanted = true;
    this.retryLater();
  }

  /** Full jitter: a thousand pages that lost the same server must not come back in the same instant. */
  retryLater() {
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.attempt);
    const wait = ceiling * (0.3 + 0.7 * Math.random());
    this.attempt += 1;
    this.retryAt = performance.now() + wait;
    this.setState(navigator.onLine ? "waiting" : "offline");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), wait);
  }

  hurry() {
    if (!this.isWanted || this.state === "live") return;
    this.attempt = 0;
    this.open();
  }

  goOffline() {
    if (!this.isWanted) return;
    this.drop();
    this.fixes.pause();
    this.setState("offline");
  }

  drop() {
    const socket = this.socket;
    this.socket = null;
    socket?.close(1000);
  }

  /** A dead network path closes nothing by itself: ask, and give up on a silence. */
  keepAlive() {
    if (!this.socket || this.socket.readyState !== WebSocket.OPEN) return;
    const silentMs = performance.now() - this.heardAt;
    if (silentMs > SILENT_AFTER_MS) {
      this.drop();
      this.lose(4000);
    } else if (silentMs > PING_EVERY_MS / 2) {
      this.requests += 1;
      this.pings.clear();
      this.pings.set(this.requests, performance.now());
      this.send({ t: "ping", re: this.requests });
    }
  }

  hear(text) {
    this.heardAt = performance.now();
    const frame = JSON.parse(text);
    const handle = HANDLERS[frame.t];
    // A later server may say more than this page understands.
    if (handle) handle(this, frame);
  }

  /** @param {string} topic */
  listenerOf(topic) {
    return this.topics.get(topic)?.listener;
  }
}

/** @type {Record<string, (live: Live, frame: any) => void>} */
const HANDLERS = {
  welcome(live, frame) {
    syncClock(frame.now_ms, frame.time_scale);
    live.welcome = frame;
    live.attempt = 0;
    live.closeCode = null;
    if (live.state === "live") return;
    live.setState("live");
    for (const topic of live.topics.keys()) live.askToFollow(topic);
    live.fixes.resume();
  },
  followed(live, frame) {
    const entry = live.topics.get(frame.topic);
    if (!entry) return;
    entry.isFollowed = true;
    // The events that were missed come next and move the offset; a snapshot stands at it already.
    if (!frame.recovered) entry.seat = { offset: frame.offset, epoch: frame.epoch };
    else entry.seat.epoch = frame.epoch;
  },
  snapshot(live, frame) {
    live.listenerOf(frame.topic)?.onSnapshot?.(frame.data);
  },
  event(live, frame) {
    const entry = live.topics.get(frame.topic);
    if (!entry) return;
    const { offset, epoch } = entry.seat;
    if (epoch !== undefined && offset !== undefined && frame.offset <= offset) return;
    entry.seat = { ...entry.seat, offset: frame.offset };
    entry.listener.onEvent?.(frame);
  },
  pos(live, frame) {
    live.positionsAt = performance.now();
    live.listenerOf(frame.topic)?.onPositions?.(frame.p.map(position));
  },
  gone(live, frame) {
    live.listenerOf(frame.topic)?.onGone?.(frame.runners);
  },
  closed(live, frame) {
    const listener = live.listenerOf(frame.topic);
    live.topics.delete(frame.topic);
    listener?.onClosed?.(frame.code);
  },
  ack(live, frame) {
    live.fixes.acknowledge(frame.seq);
  },
  refused(live, frame) {
    live.fixes.refuse(frame);
  },
  pong(live, frame) {
    syncClock(frame.now_ms);
    const askedAt = live.pings.get(frame.re);
    if (askedAt !== undefined) live.roundTripMs = performance.now() - askedAt;
    live.pings.delete(frame.re);
  },
  error(live, frame) {
    console.warn("hub:", frame.code, frame.message, frame.field ?? "");
  },
};

/** @returns {Position} */
function position([id, lat, lon, at, bearing, speed, accuracy]) {
  return { id, lat, lon, at, bearing: bearing ?? null, speed: speed ?? null, accuracy: accuracy ?? null };
}
