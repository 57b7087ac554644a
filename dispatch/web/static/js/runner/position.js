/** Where the runner is: the browser's own position, or in a demonstration a walk that the page makes up. */

import { now, timeScale } from "../clock.js";
import { distanceM } from "../map.js";
import { Rhythm } from "./rhythm.js";

const SPEED_MPS = { walk: 1.4, e_bike: 3.9 };
/** A made-up walker's reading is as good as a good phone's. */
const WALKED_ACCURACY_M = 8;
const STEP_MS = 100;
const DEVICE = { enableHighAccuracy: true, maximumAge: 2000, timeout: 20_000 };

/** @typedef {"off" | "asking" | "exact" | "coarse" | "denied" | "unavailable" | "walking"} PositionState */

export class PositionSource {
  /**
   * @param {object} parts
   * @param {(fix: import("../fix-sender.js").Fix) => void} parts.onFix
   * @param {() => void} parts.onChange
   */
  constructor({ onFix, onChange }) {
    Object.assign(this, { onFix, onChange });
    /** @type {PositionState} */
    this.state = "off";
    this.last = null;
    this.rhythm = new Rhythm();
    this.vehicle = "walk";
    this.way = [];
    navigator.getBattery?.().then(
      (battery) => (this.battery = battery),
      () => null,
    );
  }

  setState(state) {
    if (this.state === state) return;
    this.state = state;
    this.onChange();
  }

  get isOn() {
    return this.state !== "off";
  }

  stop() {
    if (this.watch !== undefined) navigator.geolocation?.clearWatch(this.watch);
    clearInterval(this.stepping);
    this.watch = this.stepping = undefined;
    this.setState("off");
  }

  /** Share the device's own position. */
  useDevice() {
    this.stop();
    if (!navigator.geolocation) return this.setState("unavailable");
    this.setState("asking");
    const onFix = (position) => this.takeDevice(position);
    const onError = (error) => this.setState(error.code === error.PERMISSION_DENIED ? "denied" : "unavailable");
    this.watch = navigator.geolocation.watchPosition(onFix, onError, DEVICE);
    // A phone that lies still may say nothing for minutes, and who is not heard of is taken off the map.
    this.stepping = setInterval(() => {
      const isQuiet = this.rhythm.isOverdue(performance.now()) && !this.isAsking;
      if (!isQuiet || (this.state !== "exact" && this.state !== "coarse")) return;
      this.isAsking = true;
      const done = (then) => (answer) => ((this.isAsking = false), then(answer));
      navigator.geolocation.getCurrentPosition(done(onFix), done(onError), { ...DEVICE, maximumAge: 0 });
    }, 1000);
  }

  takeDevice({ coords, timestamp }) {
    this.setState(coords.accuracy > 100 ? "coarse" : "exact");
    // The reading's age carries over into business time.
    const at = Math.round(now() - Math.max(0, Date.now() - timestamp) * timeScale());
    this.take({
      at,
      lat: coords.latitude,
      lon: coords.longitude,
      acc: coords.accuracy,
      spd: coords.speed,
      brg: coords.heading,
    });
  }

  /** Walk for the runner, from `start` along whatever way is set. @param {{lat: number, lon: number}} start */
  useWalker(start) {
    this.stop();
    this.here = this.last ?? start;
    this.setState("walking");
    let steppedAt = performance.now();
    this.stepping = setInterval(() => {
      const seconds = ((performance.now() - steppedAt) / 1000) * timeScale();
      steppedAt = performance.now();
      const moved = this.advance(SPEED_MPS[this.vehicle] * seconds);
      this.take({
        at: now(),
        lat: this.here.lat,
        lon: this.here.lon,
        acc: WALKED_ACCURACY_M,
        spd: moved ? SPEED_MPS[this.vehicle] : 0,
        brg: moved,
      });
    }, STEP_MS);
  }

  /** @param {[number, number][]} way where the walker goes: [lat, lon] */
  setWay(way) {
    this.way = way.map(([lat, lon]) => ({ lat, lon }));
    // The way begins where the server saw us last: go on from the nearest bend, not back.
    if (this.here && this.way.length > 2) {
      const nearest = this.way
        .slice(0, 6)
        .reduce(
          (best, point, index) => (distanceM(point, this.here) < distanceM(this.way[best], this.here) ? index : best),
          0,
        );
      this.way = this.way.slice(nearest);
    }
  }

  get isWalking() {
    return this.state === "walking" && this.way.length > 0;
  }

  /** @returns {number | null} bearing in degrees, null when standing */
  advance(metres) {
    let bearing = null;
    while (metres > 0 && this.way.length) {
      const goal = this.way[0];
      const left = distanceM(this.here, goal);
      if (left > 0.5) bearing = bearingDeg(this.here, goal);
      if (left <= metres) {
        this.here = goal;
        this.way.shift();
        metres -= left;
      } else {
        const share = metres / left;
        this.here = {
          lat: this.here.lat + (goal.lat - this.here.lat) * share,
          lon: this.here.lon + (goal.lon - this.here.lon) * share,
        };
        metres = 0;
      }
    }
    return bearing;
  }

  take({ at, lat, lon, acc, spd, brg }) {
    this.last = { at, lat, lon, acc };
    if (!this.rhythm.isDue(this.last, performance.now())) return;
    this.rhythm.reported(this.last, performance.now());
    const fix = { at, lat, lon };
    if (Number.isFinite(acc)) fix.acc = acc;
    if (Number.isFinite(spd)) fix.spd = spd;
    if (Number.isFinite(brg)) fix.brg = brg;
    if (this.battery) fix.bat = this.battery.level;
    this.onFix(fix);
  }
}

function bearingDeg(a, b) {
  const east = (b.lon - a.lon) * Math.cos((a.lat * Math.PI) / 180);
  return (Math.atan2(east, b.lat - a.lat) * 180) / Math.PI + (east < 0 ? 360 : 0);
}
