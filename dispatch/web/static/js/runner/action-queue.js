/** What the runner pressed, sent in order; without a network it waits here with the time of the tap. */

import { ApiError, newKey } from "../api.js";
import { read, remember } from "../i18n.js";

const RETRY_MS = 8000;

/**
 * Whether the same tap may be taken later: nobody was signed in, the page's token was stale, too many asked, or the
 * server could not answer. Everything else is an answer for good.
 */
function isForLater(error) {
  const isStalePage = error.status === 403 && error.detail?.reason === "csrf";
  return isStalePage || [0, 401, 408, 425, 429].includes(error.status ?? 0) || error.status >= 500;
}

/** @typedef {{orderId: string, code: string, act: "arrived" | "picked-up" | "delivered", body: any, key: string, tappedAtMs: number}} Action */

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
    Object.assign(this, { api, onAnswer, onRefused, onChange, isBusy: false });
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

  /** @param {{id: string, code: string}} order @param {Action["act"]} act @param {any} body with `tapped_at_ms` */
  push({ id, code }, act, body) {
    this.actions.push({ orderId: id, code, act, body, key: newKey(), tappedAtMs: body.tapped_at_ms });
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
        this.drop(action);
        this.onAnswer(order);
      } catch (error) {
        // Whatever is not the server's word about this tap is no reason to lose it.
        if (!(error instanceof ApiError) || isForLater(error)) {
          console.warn("tap waits:", error.code ?? error);
          break;
        }
        this.drop(action);
        this.onRefused(error, action);
      }
    }
    this.isBusy = false;
    this.onChange();
  }

  drop(action) {
    this.actions = this.actions.filter((other) => other !== action);
    this.save();
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
