/** What the console knows: orders, runners, figures and alerts, from one snapshot and the events since. */

import { now } from "../clock.js";

const WAITING = new Set(["open"]);
const CARRIED = new Set(["assigned", "carrying"]);
/** How long a delivered order stays in the queue, business seconds. */
const LINGER_S = 600;
const KINDS_THAT_ALERT = new Set(["money_alert"]);
const KINDS_OF_RUNNERS = new Set(["runner_on_duty", "runner_off_duty", "runner_paused", "account_blocked"]);

/** @typedef {import("../types.js").Order} Order */

export class Board {
  /**
   * @param {object} options
   * @param {import("../api.js").Api} options.api
   * @param {() => void} options.onChange
   * @param {(alert: any) => void} options.onAlert a new alert, never one that the snapshot brought
   */
  constructor({ api, onChange, onAlert }) {
    this.api = api;
    this.onChange = onChange;
    this.onAlert = onAlert;
    /** @type {Map<string, Order>} */
    this.orders = new Map();
    this.runners = new Map();
    /** Newest positions: runner id to {lat, lon, at, bearing}. */
    this.positions = new Map();
    this.kpis = null;
    this.alerts = [];
    this.isLoaded = false;
    this.moved = new Set();
    /** How many events were heard about an order. @type {Map<string, number>} */
    this.news = new Map();
  }

  /** Everything anew. */
  load(view) {
    const known = new Set(this.alerts.map((alert) => alert.id));
    this.orders = new Map(view.orders.map((order) => [order.id, order]));
    this.runners = new Map(view.runners.map((runner) => [runner.id, runner]));
    for (const { id, position } of view.runners) {
      const mine = this.positions.get(id);
      if (position && (!mine || mine.at < position[2])) {
        this.positions.set(id, { id, lat: position[0], lon: position[1], at: position[2], bearing: null });
        this.moved.add(id);
      }
    }
    this.kpis = view.kpis;
    if (this.isLoaded) for (const alert of view.alerts) if (!known.has(alert.id)) this.onAlert(alert);
    this.alerts = view.alerts;
    this.isLoaded = true;
    this.onChange();
  }

  /** @param {{kind: string, at: number, data: any}} event */
  apply(event) {
    const { kind, data } = event;
    if (data.order_id) this.news.set(data.order_id, this.newsOf(data.order_id) + 1);
    if (data.alert) this.alarm(data.alert);
    if (data.order) this.put(data.order);
    else if (data.order_id) this.refetch(data.order_id);
    if (kind === "credit_changed") this.credit(data);
    if (
      KINDS_THAT_ALERT.has(kind) ||
      KINDS_OF_RUNNERS.has(kind) ||
      (data.runner_id && !this.runners.has(data.runner_id))
    ) {
      this.reload(400);
    }
    this.onChange();
  }

  credit(data) {
    const runner = this.runners.get(data.account_id);
    if (runner) Object.assign(runner, { credit: data.credit, credit_level: data.level });
  }

  /** An alert that was just raised, or that needs nobody any more. */
  alarm(alert) {
    if (alert.is_acknowledged) {
      this.alerts = this.alerts.filter((known) => known.id !== alert.id);
      return;
    }
    if (this.alerts.some((known) => known.id === alert.id)) return;
    this.alerts = [alert, ...this.alerts];
    this.onAlert(alert);
  }

  /** @param {Order} order an older version than the one known is old news */
  put(order) {
    const known = this.orders.get(order.id);
    if (known && known.version > order.version) return;
    this.orders.set(order.id, order);
    this.onChange();
  }

  async refetch(orderId) {
    try {
      this.put(await this.api.get(`/orders/${orderId}`));
    } catch (error) {
      if (error.status === 404) this.orders.delete(orderId);
    }
    this.onChange();
  }

  /** Fetch the whole again, soon; several wishes make one request. */
  reload(afterMs = 0) {
    if (this.reloading) return;
    this.reloading = setTimeout(async () => {
      try {
        this.load(await this.api.get("/console"));
      } catch (error) {
        console.warn("console:", error.code);
      }
      this.reloading = null;
    }, afterMs);
  }

  /** @param {import("../live.js").Position[]} positions */
  move(positions) {
    let isNew = false;
    for (const position of positions) {
      this.positions.set(position.id, position);
      this.moved.add(position.id);
      isNew ||= !this.runners.has(position.id);
    }
    if (isNew) this.reload(1500);
  }

  forget(runnerIds) {
    for (const id of runnerIds) this.positions.delete(id);
    this.onChange();
  }

  newsOf(orderId) {
    return this.news.get(orderId) ?? 0;
  }

  /** Runners whose dot has to be drawn again since the last call. */
  takeMoved() {
    const moved = this.moved;
    this.moved = new Set();
    return moved;
  }

  // --- derived

  /** Business seconds between the promise and the arrival that is expected: negative is late. @param {Order} order */
  slackS(order) {
    const expected = Math.max(order.eta?.to_ms ?? 0, now());
    return (order.promised_at_ms - expected) / 1000;
  }

  isWaiting(order) {
    return WAITING.has(order.status);
  }

  isCarried(order) {
    return CARRIED.has(order.status);
  }

  isActive(order) {
    return WAITING.has(order.status) || CARRIED.has(order.status);
  }

  isLate(order) {
    return this.isActive(order) && (order.is_late || now() > order.promised_at_ms);
  }

  /** Not late yet, but by what its runner has before them it will be. */
  willBeLate(order) {
    return this.isCarried(order) && !this.isLate(order) && this.slackS(order) < 0;
  }

  isRecent(order) {
    const doneAt = order.steps?.find((step) => step.step === "delivered")?.at_ms;
    return ["delivered", "confirmed"].includes(order.status) && doneAt !== null && now() - doneAt < LINGER_S * 1000;
  }

  /**
   * The queue: nobody's orders first, then by slack, what is done last.
   * @param {{filter: string, text: string}} view
   */
  queue({ filter, text }) {
    const wanted = text.trim().toLowerCase();
    const orders = [...this.orders.values()].filter((order) => {
      if (!this.isActive(order) && !(filter === "all" && this.isRecent(order))) return false;
      if (filter === "unassigned" && !this.isWaiting(order)) return false;
      if (filter === "late" && !this.isLate(order)) return false;
      if (filter === "carried" && !this.isCarried(order)) return false;
      return !wanted || this.textOf(order).includes(wanted);
    });
    const rank = (order) => (this.isWaiting(order) ? 0 : this.isCarried(order) ? 1 : 2);
    return orders.sort((a, b) => rank(a) - rank(b) || this.slackS(a) - this.slackS(b) || (a.id < b.id ? -1 : 1));
  }

  /** The carrying runner's name as the team knows it: on the order itself it is masked. */
  runnerName(order) {
    return order.runner ? (this.runners.get(order.runner.id)?.name ?? order.runner.name) : "";
  }

  textOf(order) {
    const stops = order.stops.map((stop) => stop.label).join(" ");
    return `${order.code} ${order.id} ${this.runnerName(order)} ${stops} ${order.description}`.toLowerCase();
  }

  counts() {
    const active = [...this.orders.values()].filter((order) => this.isActive(order));
    return {
      all: active.length,
      unassigned: active.filter((order) => this.isWaiting(order)).length,
      late: active.filter((order) => this.isLate(order)).length,
      carried: active.filter((order) => this.isCarried(order)).length,
    };
  }

  ordersOf(runnerId) {
    return [...this.orders.values()].filter((order) => order.runner?.id === runnerId && this.isCarried(order));
  }

  /** Whole minutes since the promise of the latest of these orders. */
  minutesLate(orders) {
    const late = orders.filter((order) => this.isLate(order)).map((order) => now() - order.promised_at_ms);
    return late.length ? Math.floor(Math.max(...late) / 60_000) : 0;
  }

  /** @returns {{look: import("../map-layers.js").RunnerLook, text: string, load: number}} */
  faceOf(runnerId) {
    const runner = this.runners.get(runnerId);
    const orders = this.ordersOf(runnerId);
    const isLate = orders.some((order) => this.isLate(order));
    const look = isLate ? "late" : orders.length ? "carrying" : runner?.is_on_duty === false ? "off" : "idle";
    const minutes = Math.min(99, this.minutesLate(orders));
    const text = isLate ? (minutes ? String(minutes) : "!") : orders.length ? String(orders.length) : "";
    return { look, text, load: orders.length };
  }

  /** People at work first, the busiest on top. */
  runnerList({ isOffShown }) {
    return [...this.runners.values()]
      .filter((runner) => isOffShown || runner.is_on_duty || this.ordersOf(runner.id).length)
      .map((runner) => ({ runner, face: this.faceOf(runner.id), orders: this.ordersOf(runner.id) }))
      .sort(
        (a, b) =>
          Number(b.face.look === "late") - Number(a.face.look === "late") ||
          b.face.load - a.face.load ||
          Number(b.runner.is_on_duty) - Number(a.runner.is_on_duty) ||
          (a.runner.name < b.runner.name ? -1 : 1),
      );
  }
}
