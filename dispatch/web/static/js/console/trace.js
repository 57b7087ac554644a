/** One order's money as a line of time: attempts, requests, replies and how long they took, callbacks, decisions. */

import { h } from "../dom.js";
import { clockTime, has, pick, t } from "../i18n.js";
import { icon } from "../icons.js";

const ICONS = {
  attempt: "key",
  decision: "flag",
  request: "next",
  reply: "back",
  exchange: "swap",
  instruction: "wallet",
  callback: "bell",
};
const GOOD = new Set(["paid", "Paid", "Settled", "Released", "Refunded", "refunded", "issued"]);
const BAD = new Set([
  "alarm", "declined", "refused", "unknown", "paid_duplicate", "IntentFailed", "PayoutFailed", "ReleaseFailed",
  "RefundOverdue", "Suspicious", "part_failed",
]); // prettier-ignore

/** The tab of one order; asks anew whenever something happened to it. */
export class TraceTab {
  /** @param {{api: import("../api.js").Api, board: import("./board.js").Board, paint: () => void}} parts */
  constructor({ api, board, paint }) {
    Object.assign(this, { api, board, paint });
    this.asked = "";
    this.orderId = null;
    /** @type {{entries: any[], is_cut: boolean} | null} */
    this.known = null;
  }

  /** @param {{id: string, version: number}} order */
  view(order) {
    this.ask(order);
    if (!this.known) return h("p", { class: "muted" }, t("console.loading"));
    const { entries, is_cut: isCut } = this.known;
    if (!entries.length) return h("p", { class: "muted" }, t("trace.none"));
    return [
      isCut && h("p", { class: "muted small" }, t("trace.cut")),
      h("ol", { class: "trace", "aria-label": t("order.tab.trace") }, withTimes(entries).map(row)),
    ];
  }

  ask(order) {
    const state = `${order.id}/${order.version}/${this.board.newsOf(order.id)}`;
    if (this.asked === state) return;
    this.asked = state;
    if (this.orderId !== order.id) this.known = null;
    this.orderId = order.id;
    this.api.get(`/orders/${order.id}/money-trace`).then(
      (answer) => {
        if (this.asked === state) this.known = answer;
        this.paint();
      },
      (error) => console.warn("trace:", error.code),
    );
  }
}

/** Each reply with the milliseconds since its request. */
function withTimes(entries) {
  const asked = new Map();
  return entries.map((entry) => {
    const name = `${entry.subject}/${entry.channel}/${entry.code}`;
    if (entry.kind === "request") asked.set(name, entry.at_ms);
    const since = entry.kind === "reply" && asked.has(name) ? entry.at_ms - asked.get(name) : null;
    return { ...entry, ms: entry.facts.ms ?? since };
  });
}

function row(entry) {
  const facts = Object.entries(entry.facts).filter(([, value]) => value !== "" && value !== null);
  const title = [
    pick(entry, "title"),
    entry.channel && h("span", { class: "muted" }, ` · ${entry.channel}`),
    entry.ms !== null && h("span", { class: "muted" }, ` · ${t("trace.ms", { n: Math.round(entry.ms) })}`),
  ];
  const more = [...facts, ...(entry.subject ? [["subject", entry.subject]] : [])];
  const tone = BAD.has(entry.code) ? "is-bad" : GOOD.has(entry.code) ? "is-good" : "";
  return h(
    "li",
    { key: entry.seq, class: tone, "data-kind": entry.kind },
    h("time", {}, clockTime(entry.at_ms, true)),
    h("span", { class: "trace-mark" }, icon(ICONS[entry.kind] ?? "info")),
    more.length
      ? h(
          "details",
          {},
          h("summary", {}, title),
          h("dl", { class: "facts" }, more.map(([name, value]) => [h("dt", {}, factName(name)), h("dd", {}, said(value))])),
        )
      : h("div", {}, title),
  );
}

function factName(name) {
  const key = `trace.fact.${name}`;
  return has(key) ? t(key) : name;
}

function said(value) {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
