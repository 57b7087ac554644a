/** One socket that is kept up: token, hello, silence, and coming back when the network or the server is back. */

import { syncClock } from "../clock.js";
import { askedMs, Pauses } from "./pauses.js";

const PROTOCOL = "campus.v1.json";
const CHECK_MS = 2000;
/** After so much silence the server is asked whether it is there, and now and then what time it is. */
const PING_AFTER_MS = 8000;
const CLOCK_EVERY_MS = 30_000;
/** So much silence is a dead connection, whatever the browser believes. */
const DEAD_AFTER_MS = 60_000;
/** A question that nobody answered for so long; a tab that slept must ask before it judges. */
const UNANSWERED_MS = 4000;
const OPENS_WITHIN_MS = 15_000;
/** A full server lets a handshake wait some seconds; an attempt that is older was made over a network that is gone. */
const STUCK_MS = 8000;
const STEADY_MS = 10_000;
const NOT_SIGNED_IN = 4500;
const TOKEN_EXPIRED = 4002;
const DEAD_PEER = 4004;
/** A token is shown again while so much of its time is left, and a connection renewed after such a share. */
const TOKEN_MARGIN_MS = 10_000;
const RENEW_SHARE = 0.7;
const RENEW_AGAIN_MS = 15_000;

/** @typedef {import("../live.js").LiveState} LiveState */

export class Wire {
  /**
   * @param {object} parts
   * @param {import("../api.js").Api} parts.api
   * @param {boolean} parts.acks this page reports fixes
   * @param {boolean} parts.worksHidden the page is of use while nobody looks at it: it comes back as quickly then
   * @param {(frame: any) => void} parts.onFrame whatever is not about the connection itself
   * @param {(welcome: any) => void} parts.onLive signed in: follow what is to be followed
   * @param {() => void} parts.onDown
   * @param {() => void} parts.onChange the state is another
   */
  constructor({ api, acks, worksHidden, onFrame, onLive, onDown, onChange }) {
    Object.assign(this, { api, acks, worksHidden, onFrame, onLive, onDown, onChange });
    /** @type {LiveState} */
    this.state = "offline";
    this.closeCode = null;
    this.retryAt = 0;
    /** When anything was heard last, `performance.now()`; null: never. @type {number | null} */
    this.heardAt = null;
    this.roundTripMs = null;
    this.socket = null;
    this.isWanted = false;
    this.pauses = new Pauses();
    this.requests = 0;
    /** The question that is still unanswered. @type {{re: number, at: number} | null} */
    this.ping = null;
    this.askedTimeAt = -Infinity;
    this.granted = { token: "", goodUntil: -Infinity };
    addEventListener("online", () => this.wake());
    addEventListener("offline", () => this.goOffline());
    addEventListener("pageshow", () => this.wake());
    document.addEventListener("resume", () => this.wake());
    document.addEventListener("visibilitychange", () => document.hidden || this.wake());
    setInterval(() => this.keepAlive(), CHECK_MS);
  }

  setState(state) {
    if (this.state === state) return;
    this.state = state;
    this.onChange();
  }

  start() {
    this.isWanted = true;
    this.open();
  }

  stop() {
    this.isWanted = false;
    this.closeCode = null;
    clearTimeout(this.timer);
    clearTimeout(this.renewal);
    this.drop();
    this.setState("ended");
  }

  /** Seconds since anything was heard; null before the first word. */
  get silentS() {
    return this.heardAt === null ? null : (performance.now() - this.heardAt) / 1000;
  }

  nextNumber() {
    this.requests += 1;
    return this.requests;
  }

  send(frame) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  // --- opening

  async open() {
    clearTimeout(this.timer);
    if (!this.isWanted || this.socket || this.isAsking) return;
    // The browser may be wrong about the network (a server on this very machine): it is tried all the same.
    this.setState(navigator.onLine ? "connecting" : "offline");
    this.isAsking = true;
    let token;
    try {
      token = await this.goodToken();
    } catch (error) {
      if (error.status === 401 || error.status === 403) return this.end(error.code);
      return this.retryLater({ isRefused: true, askedMs: 1000 * (error.detail?.retry_after_s ?? 0) });
    } finally {
      this.isAsking = false;
    }
    if (!this.isWanted || this.socket) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws`, PROTOCOL);
    this.socket = socket;
    this.openedAt = performance.now();
    this.liveAt = null;
    let hasOpened = false;
    socket.onopen = () => {
      hasOpened = true;
      if (socket === this.socket) this.hello(token);
    };
    socket.onmessage = (message) => socket === this.socket && this.hear(message.data);
    socket.onclose = ({ code, reason }) => socket === this.socket && this.lose(code, reason, !hasOpened);
  }

  /** A token that still opens a connection: the one at hand saves the server a question by a thousand pages at once. */
  async goodToken() {
    return performance.now() < this.granted.goodUntil ? this.granted.token : this.newToken();
  }

  async newToken() {
    const { token, expires_in_s: lastsS } = await this.api.post("/auth/socket-token");
    this.granted = { token, goodUntil: performance.now() + lastsS * 1000 - TOKEN_MARGIN_MS };
    return token;
  }

  hello(token) {
    this.helloAt = performance.now();
    this.send({ t: "hello", token, acks: this.acks });
  }

  welcomed(frame) {
    syncClock(frame.now_ms, frame.time_scale, performance.now() - this.helloAt);
    this.renewLater(frame.renew_ms);
    this.closeCode = null;
    if (this.state === "live") return;
    this.liveAt = performance.now();
    this.ping = null;
    this.setState("live");
    this.askTime();
    this.onLive(frame);
  }

  /** Shows a newer token before the connection's time is over; not everybody at once who came at once. */
  renewLater(lastsMs) {
    clearTimeout(this.renewal);
    const socket = this.socket;
    const wait = Math.min(2 ** 31 - 1, lastsMs * RENEW_SHARE * (0.9 + 0.1 * Math.random()));
    this.renewal = setTimeout(async () => {
      const token = await this.newToken().catch(() => null);
      if (socket !== this.socket) return;
      if (token) this.hello(token);
      else this.renewLater(RENEW_AGAIN_MS);
    }, wait);
  }

  // --- losing it

  /** @param {number} code @param {string} [reason] @param {boolean} [isRefused] it never opened */
  lose(code, reason, isRefused = false) {
    const wasSteady = this.liveAt !== null && performance.now() - this.liveAt > STEADY_MS;
    this.forgetSocket();
    this.closeCode = code;
    if (code >= 4500 && code <= 4999) return this.end(code);
    if (code === TOKEN_EXPIRED) this.granted.goodUntil = -Infinity;
    if (wasSteady) this.pauses.reset();
    this.retryLater({ isRefused, askedMs: askedMs(reason) });
  }

  end(code) {
    this.granted.goodUntil = -Infinity;
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
    this.retryLater({ isRefused: true });
  }

  /** @param {{isRefused?: boolean, askedMs?: number}} how */
  retryLater(how) {
    const isIdle = document.hidden && !this.worksHidden;
    this.retryIn(this.pauses.next({ ...how, isIdle }));
  }

  retryIn(wait) {
    this.retryAt = performance.now() + wait;
    this.setState(navigator.onLine ? "waiting" : "offline");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), wait);
  }

  /**
   * The network is back, somebody looks, or somebody asked for it: do not wait any longer. What the server asked for
   * is waited for all the same, unless a person insists.
   * @param {{isAsked?: boolean}} [how]
   */
  hurry({ isAsked = false } = {}) {
    if (!this.isWanted || this.state === "live") return;
    if (this.socket && performance.now() - this.openedAt < STUCK_MS) return;
    this.drop();
    this.pauses.reset();
    const owedMs = isAsked ? 0 : this.pauses.owedMs;
    if (owedMs > 0) this.retryIn(owedMs + 1000 * Math.random());
    else this.open();
  }

  /** Somebody looks again: a connection that died in its sleep is found out within seconds. */
  wake() {
    if (this.state !== "live") return this.hurry();
    if ((this.silentS ?? 0) * 1000 > CHECK_MS) this.ask();
    if (this.ping) setTimeout(() => this.keepAlive(true), UNANSWERED_MS + 100);
  }

  goOffline() {
    if (!this.isWanted) return;
    this.forgetSocket();
    this.retryLater({ isRefused: true });
  }

  forgetSocket() {
    const wasLive = this.state === "live";
    clearTimeout(this.renewal);
    this.drop();
    if (wasLive) this.onDown();
  }

  drop() {
    const socket = this.socket;
    this.socket = null;
    this.ping = null;
    socket?.close(1000);
  }

  // --- keeping it

  /** A question is out, and nothing was heard since. */
  get isAsked() {
    return this.ping !== null && this.ping.at > (this.heardAt ?? 0);
  }

  ask() {
    if (this.isAsked) return;
    this.ping = { re: this.nextNumber(), at: performance.now() };
    this.send({ t: "ping", re: this.ping.re });
  }

  askTime() {
    this.askedTimeAt = performance.now();
    this.ask();
  }

  /**
   * A dead network path closes nothing by itself: ask, and give up on a silence. A tab that was asleep has heard
   * nothing for long and asked nothing: that alone is no reason to connect again.
   * @param {boolean} [isAwaited] somebody waits for the answer
   */
  keepAlive(isAwaited = false) {
    if (!this.socket) return;
    const nowAt = performance.now();
    if (this.liveAt === null) {
      if (nowAt - this.openedAt > OPENS_WITHIN_MS) this.lose(DEAD_PEER, "", true);
      return;
    }
    const silentMs = nowAt - (this.heardAt ?? this.liveAt);
    const isUnanswered = this.isAsked && nowAt - this.ping.at > UNANSWERED_MS;
    if (isUnanswered && (isAwaited || silentMs > DEAD_AFTER_MS)) this.lose(DEAD_PEER);
    else if (silentMs > PING_AFTER_MS) this.ask();
    else if (nowAt - this.askedTimeAt > CLOCK_EVERY_MS) this.askTime();
  }

  hear(text) {
    this.heardAt = performance.now();
    const frame = JSON.parse(text);
    if (frame.t === "welcome") this.welcomed(frame);
    else if (frame.t === "pong") this.pong(frame);
    else this.onFrame(frame);
  }

  pong(frame) {
    if (frame.re !== this.ping?.re) return;
    this.roundTripMs = performance.now() - this.ping.at;
    this.ping = null;
    syncClock(frame.now_ms, undefined, this.roundTripMs);
  }
}
