/** One order at the right: state, people, why, what happened, money; and what an operator may do about it. */

import { h } from "../dom.js";
import { clockTime, countdown, distance, t, volume, weight, yuan } from "../i18n.js";
import { icon, typeIcon } from "../icons.js";
import { photo } from "../photo.js";
import { ask, toastError } from "../shell.js";
import { dispatchState } from "./dispatch-state.js";
import { money, stops, timeline } from "./order-facts.js";
import { machineState, nearText, slackWord } from "./queue.js";
import { refundButton } from "./refund.js";
import { TraceTab } from "./trace.js";
import { WhyTab, whyYet } from "./why.js";

const WAITING_TICK_MS = 5000;
export const TABS = ["why", "timeline", "money", "trace", "people"];

export class OrderPanel {
  /** @param {{api: import("../api.js").Api, board: import("./board.js").Board, reassigner: any, paint: () => void,
   *   foresight: import("./foresight.js").Foresight, mayRefund: boolean}} parts */
  constructor({ api, board, reassigner, paint, foresight, mayRefund }) {
    Object.assign(this, { api, board, reassigner, paint, foresight, mayRefund });
    this.whyTab = new WhyTab({ api, board, paint });
    this.traceTab = new TraceTab({ api, board, paint });
    this.orderId = null;
    this.reset();
  }

  reset() {
    this.why = null;
    this.timeline = null;
    this.revealed = null;
    this.fetched = "";
  }

  /** Fetch what belongs to the order shown, again whenever something happened to it. */
  refresh(order) {
    if (!order) return;
    if (order.id !== this.orderId) {
      this.orderId = order.id;
      this.reset();
    }
    // While nobody has it, the planner's reason may change with every tick, without any event.
    const tick = this.board.isWaiting(order) ? Math.floor(performance.now() / WAITING_TICK_MS) : 0;
    const state = `${order.version}/${this.board.newsOf(order.id)}/${tick}`;
    if (this.fetched === state) return;
    this.fetched = state;
    const take = (name, path) =>
      this.api.get(path).then(
        (answer) => {
          // An answer that was overtaken is old news.
          if (this.orderId === order.id && this.fetched === state) this[name] = answer;
          this.paint();
        },
        (error) => console.warn(path, error.code),
      );
    take("why", `/orders/${order.id}/why`);
    take("timeline", `/orders/${order.id}/timeline`);
  }

  view({ tab, onTab, onClose, onCancel, onRunner }) {
    const order = this.orderId ? this.board.orders.get(this.orderId) : null;
    if (!order) return this.nothing();
    const actions = this.board.isActive(order);
    return [
      h(
        "header",
        { class: "order-head", key: `head-${order.id}` },
        h("span", { class: "order-type" }, typeIcon(order.type_code)),
        h(
          "div",
          { class: "grow" },
          h("h2", { id: "order-title", tabindex: "-1" }, order.code),
          h("span", { class: "muted" }, t(`type.${order.type_code}`), " · ", yuan(order.quote.total_fen)),
        ),
        this.slack(order),
        h(
          "button",
          { type: "button", class: "icon-button", "aria-label": t("nav.close"), onclick: onClose },
          icon("close"),
        ),
      ),
      h(
        "p",
        { class: "order-state", role: "status" },
        h("span", { class: `pill is-${order.status}` }, t(machineState(order, this.foresight.of(order)))),
        order.is_late && h("span", { class: "pill is-late" }, icon("warning"), t("console.late")),
        order.near && h("span", { class: "pill" }, icon("locate"), nearText(order)),
        order.eta &&
          h(
            "span",
            { class: "muted" },
            t("order.eta", {
              from: clockTime(order.eta.from_ms),
              to: clockTime(order.eta.to_ms),
            }),
          ),
        h("span", { class: "muted" }, t("order.promised", { at: clockTime(order.promised_at_ms) })),
      ),
      dispatchState(order, this.board, this.api),
      tab !== "why" && this.why?.waiting && whyYet(this.why),
      this.runner(order, onRunner),
      actions &&
        !this.isReassigning(order) &&
        h(
          "div",
          { class: "actions" },
          h(
            "button",
            { type: "button", class: "button primary grow", onclick: () => this.reassigner.open(order.id) },
            icon("swap"),
            t(order.runner ? "reassign.title" : "reassign.assign"),
            h("kbd", {}, "R"),
          ),
          h(
            "button",
            { type: "button", class: "button danger quiet", onclick: () => onCancel(order) },
            t("cancel.short"),
          ),
        ),
      this.reassigner.view(order),
      stops(order),
      h(
        "p",
        { class: "description" },
        order.description,
        h("small", { class: "muted" }, ` ${weight(order.weight_g)} · ${order.volume_ml ? `${volume(order.volume_ml)} · ` : ""}${distance(order.quote.distance_m)}`),
      ),
      order.photo_ids?.length > 0 &&
        h(
          "div",
          { class: "photos", key: `photos-${order.id}`, role: "group", "aria-label": t("people.photo") },
          order.photo_ids.map((id) => photo(this.api, id)),
        ),
      h(
        "div",
        {
          class: "tabs",
          role: "tablist",
          "aria-label": t("order.tabs"),
          onkeydown: (event) => walkTabs(event, tab, onTab),
        },
        TABS.map((name) =>
          h(
            "button",
            {
              type: "button",
              role: "tab",
              id: `tab-${name}`,
              "aria-selected": String(tab === name),
              "aria-controls": "tab-panel",
              tabindex: tab === name ? "0" : "-1",
              onclick: () => onTab(name),
            },
            t(`order.tab.${name}`),
          ),
        ),
      ),
      h(
        "div",
        { class: "tab-panel", role: "tabpanel", id: "tab-panel", key: `panel-${tab}`, "aria-labelledby": `tab-${tab}` },
        this.tab(order, tab),
      ),
    ];
  }

  isReassigning(order) {
    return this.reassigner.form?.orderId === order.id;
  }

  nothing() {
    return h(
      "div",
      { class: "nothing", key: "nothing" },
      icon("list"),
      h("p", {}, t("order.none")),
      h(
        "dl",
        { class: "legend" },
        ["idle", "carrying", "late", "stale"].map((name) => [
          h("dt", { class: `legend-${name}` }),
          h("dd", {}, t(`legend.${name}`)),
        ]),
      ),
      h(
        "dl",
        { class: "keys" },
        [
          ["↑ ↓", "keys.queue"],
          ["R", "keys.reassign"],
          ["U", "keys.undo"],
          ["/", "keys.search"],
          ["W", "keys.why"],
          ["A", "keys.alert"],
          ["Esc", "keys.close"],
        ].map(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, t(text))]),
      ),
    );
  }

  slack(order) {
    if (!this.board.isActive(order)) return null;
    const seconds = this.board.slackS(order);
    return h(
      "span",
      { class: `slack ${seconds < 0 ? "is-late" : ""}` },
      h("b", {}, countdown(seconds)),
      h("small", {}, t(slackWord(this.board, order))),
    );
  }

  runner(order, onRunner) {
    if (!order.runner) return null;
    const { id, vehicle, credit, stars } = order.runner;
    return h(
      "button",
      { type: "button", class: "runner-line", onclick: () => onRunner(id) },
      icon(vehicle === "e_bike" ? "bike" : "walk"),
      h("b", {}, this.board.runnerName(order)),
      h(
        "span",
        { class: "muted" },
        t("runner.credit", { n: credit }),
        stars ? ` · ★ ${stars.toFixed(1)}` : "",
        ` · ${t("runner.load", { n: this.board.ordersOf(id).length })}`,
      ),
    );
  }

  tab(order, tab) {
    if (tab === "why") return this.whyTab.view(order, this.why);
    if (tab === "timeline") return timeline(this.timeline);
    if (tab === "money") return [money(order), this.mayRefund && refundButton({ api: this.api, order })];
    if (tab === "trace") return this.traceTab.view(order);
    return this.people(order);
  }

  people(order) {
    const seen = this.revealed;
    const stopsShown = seen?.stops ?? order.stops;
    return [
      h(
        "dl",
        { class: "facts" },
        h("dt", {}, t("people.student")),
        h("dd", {}, seen?.name ?? order.student_name ?? "–"),
        h("dt", {}, t("people.phone")),
        h("dd", {}, seen?.phone ?? order.student_phone ?? "–"),
        stopsShown.map((stop) => [
          h("dt", {}, t(`stop.${stop.role}`)),
          h("dd", {}, [stop.label, stop.detail, stop.contact_name, stop.contact_phone].filter(Boolean).join(" · ")),
        ]),
      ),
      !seen &&
        h(
          "button",
          { type: "button", class: "button quiet", onclick: () => this.reveal(order) },
          icon("eye"),
          t("people.reveal"),
        ),
    ];
  }

  async reveal(order) {
    const state = { reason: "" };
    const answer = await ask({
      title: t("people.reveal"),
      content: (close) =>
        h(
          "form",
          { onsubmit: (event) => (event.preventDefault(), close(state.reason)) },
          h("p", {}, t("people.reveal_hint")),
          h(
            "label",
            { class: "field" },
            h("span", {}, t("people.reason")),
            h("input", {
              class: "input",
              required: true,
              minlength: 3,
              maxlength: 200,
              oninput: (event) => (state.reason = event.target.value),
            }),
          ),
          h("button", { class: "button primary wide" }, t("people.show")),
        ),
    });
    if (!answer) return;
    try {
      const seen = await this.api.post(`/orders/${order.id}/reveal`, { reason: answer });
      if (this.orderId === order.id) this.revealed = seen;
    } catch (error) {
      toastError(error);
    }
    this.paint();
  }
}

function walkTabs(event, tab, onTab) {
  const index = TABS.indexOf(tab) + (event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0);
  if (!event.key.startsWith("Arrow") || !TABS[index]) return;
  event.preventDefault();
  event.stopPropagation();
  onTab(TABS[index]);
  document.getElementById(`tab-${TABS[index]}`)?.focus();
}
