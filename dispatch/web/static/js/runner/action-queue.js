/** What the runner pressed, sent in order; without a network it waits here with the time of the tap. */

import { newKey } from "../api.js";
import { read, remember } from "../i18n.js";

const RETRY_MS = 8000;

/** @typedef {{orderId: string, act: "arrived" | "picked-up" | "delivered", body: any, key: string, tappedAtMs: number}} Action */

export class ActionQueue {
  /**
   * @param {object} parts
   * @param {import("../api.js").Api} parts.api
   * @param {string} parts.accountId whose taps: another runner on this device must not send them
   * @param {(order: any) => void} parts.onAnswer
   * @param {(error: any, action: Action) => void} parts.onRefused
   * @param {() => void} parts.onChange
   */
  constructor({ api, accountId, onAnswer, onRefused, onChange }) {
    Object.assign(this, { api, onAnswer, onRefused, onChange, isBusy: false, isOutage: false });
    this.storage = `dispatch.actions.${accountId}`;
    /** @type {Action[]} */
    this.actions = load(this.storage);
    addEventListener("online", () => this.flush());
    setInterval(() => this.actions.length && this.flush(), RETRY_MS);
  }

  save() {
    remember(this.storage, this.actions.length ? JSON.stringify(this.actions) : null);
    this.onChange();
  }

  /** @param {string} orderId @param {Action["act"]} act @param {any} body with `tapped_at_ms` */
  push(orderId, act, body) {
    this.actions.push({ orderId, act, body, key: newKey(), tappedAtMs: body.tapped_at_ms });
    this.save();
    return this.flush();
  }

  async flush() {
    if (this.isBusy) return;
    this.isBusy = true;
    while (this.actions.length) {
      const [action] = this.actions;
      try {
        const order = await this.api.post(`/orders/${action.orderId}/${action.act}`, action.body, { key: action.key });
        this.isOutage = false;
        this.actions.shift();
        this.onAnswer(order);
      } catch (error) {
        this.isOutage = Boolean(error.isOutage);
        if (this.isOutage) break;
        this.actions.shift();
        this.onRefused(error, action);
      }
      this.save();
    }
    this.isBusy = false;
    this.onChange();
  }

  /** The order as it will be once the server has heard of the taps that wait. */
  project(order) {
    let { task_status: status } = order;
    for (const { orderId, act } of this.actions) {
      if (orderId !== order.id) continue;
      if (act === "arrived") status = status === "carrying" ? "at_dropoff" : "at_pickup";
      else status = act === "picked-up" ? "carrying" : "done";
    }
    return { ...order, task_status: status };
  }
}

function load(storage) {
  try {
    return JSON.parse(read(storage) ?? "[]");
  } catch {
    return [];
  }
}
