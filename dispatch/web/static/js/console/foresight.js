/** What the planner foresees for the orders that wait, asked for every few seconds as long as any does. */

import { clockTime, codeText, t } from "../i18n.js";

const EVERY_MS = 3000;

export class Foresight {
  /** @param {{api: import("../api.js").Api, board: import("./board.js").Board, paint: () => void}} parts */
  constructor({ api, board, paint }) {
    Object.assign(this, { api, board, paint });
    /** When the planner spoke last; null: not lately, undefined: nobody has asked yet. @type {number | null | undefined} */
    this.atMs = undefined;
    /** By order id. @type {Map<string, any>} */
    this.orders = new Map();
    setInterval(() => this.ask(), EVERY_MS);
  }

  async ask() {
    if (document.hidden || this.isAsking || !this.board.counts().unassigned) return;
    this.isAsking = true;
    try {
      const { at_ms: atMs, orders } = await this.api.get("/outlook");
      this.atMs = atMs;
      this.orders = new Map(orders.map((one) => [one.order_id, one]));
      this.paint();
    } catch (error) {
      console.warn("outlook:", error.code);
    }
    this.isAsking = false;
  }

  /** Of an order that nobody has and nobody is being asked about. */
  of(order) {
    if (order.status !== "open" || order.task_status === "offered") return null;
    return this.orders.get(order.id) ?? null;
  }

  /** In a few words, "" where nothing is known. */
  text(order) {
    const foreseen = this.of(order);
    if (this.atMs === null && order.status === "open") return t("yet.silent");
    if (!foreseen) return "";
    if (!foreseen.runner_id) return codeText("waiting", foreseen.reason);
    const name = this.board.runners.get(foreseen.runner_id)?.name ?? "";
    return t("yet.planned_short", { name, at: clockTime(foreseen.leave_at_ms) });
  }
}
