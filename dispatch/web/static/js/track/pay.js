/** Paying: what the payment is doing now, and what the student does with what the channel gave. */

import { h } from "../dom.js";
import { codeText, countdown, pick, remember, t, yuan } from "../i18n.js";
import { icon } from "../icons.js";
import { realSecondsUntil } from "../clock.js";
import { toastError } from "../shell.js";
import { assurances } from "./assurances.js";
import { bindButtons, bindChannel, ready } from "./bind.js";
import { payWith } from "./pay-kinds.js";
import { familyOf, jobHint, offline, reasonText, riskCard } from "./pay-trouble.js";

/** Whose payment the student went away for: coming back to the page opens it again. */
export const PAYING = "dispatch.paying";
const OPEN = new Set(["pending", "processing"]);

/** Whether its result is still to come, and worth asking about. @param {import("../types.js").Order} order */
export function isOpen(order) {
  const state = order.payment?.state ?? "pending";
  return order.status === "awaiting_payment" && (OPEN.has(state) || state === "success");
}

export class PayCard {
  /** @param {{api: import("../api.js").Api, paint: () => void, refetch: () => Promise<void>,
   *   campus: import("../types.js").Campus}} parts */
  constructor({ api, paint, refetch, campus }) {
    Object.assign(this, { api, paint, refetch, campus });
    this.isBusy = false;
    this.isReached = true;
    /** Why the wallet said no; the credential can still be paid. @type {string | null} */
    this.declined = null;
    /** The student was at the provider's: nobody but the bank knows what happened there. */
    this.wasAway = false;
    /** Orders whose channel was chosen on this page, a moment ago. @type {Set<string>} */
    this.fresh = new Set();
    /** The one-time code that is on its way. @type {{id: string} | null} */
    this.code = null;
    /** @type {string | null} */
    this.fault = null;
    this.channels = [];
    this.orderId = "";
  }

  /** Which channels take payments changes; asked for with each order, and after whatever did not work. */
  loadChannels() {
    this.api.get("/channels").then(
      (channels) => ((this.channels = channels), this.paint()),
      () => null,
    );
  }

  /** Another order's payment is looked at. */
  show(orderId) {
    if (this.orderId === orderId) return;
    Object.assign(this, { orderId, isBusy: false, declined: null, wasAway: false, code: null, fault: null });
    this.loadChannels();
  }

  reach(isReached) {
    if (this.isReached === isReached) return;
    this.isReached = isReached;
    this.paint();
  }

  async act(work) {
    if (this.isBusy) return;
    Object.assign(this, { isBusy: true, declined: null, fault: null });
    this.paint();
    try {
      await work();
    } catch (error) {
      if (error.code === "payment_declined") this.declined = error.detail?.reason ?? "declined";
      else if (error.field === "token") this.fault = t("pay.risk.wrong");
      else toastError(error);
      this.loadChannels();
    }
    // What has become of it, where the server can say so: the same button is not there to be tapped once more.
    await this.refetch();
    this.isBusy = false;
    this.paint();
  }

  choose(order, channel) {
    return this.act(async () => {
      this.fresh.add(order.id);
      this.wasAway = false;
      await this.api.post(`/orders/${order.id}/pay`, { channel });
    });
  }

  async bind(order, channel) {
    if (await bindChannel(this.api, channel, () => remember(PAYING, order.id))) await this.choose(order, channel.code);
  }

  leave(orderId) {
    this.wasAway = true;
    remember(PAYING, orderId);
    this.paint();
  }

  // --- painting

  /** @param {import("../types.js").Order} order */
  view(order) {
    this.show(order.id);
    /** @type {import("../types.js").Payment} */
    const payment = order.payment ?? { state: "pending", kind: null, part: 1, parts: 1, risk: null };
    const { state } = payment;
    const isPayable = OPEN.has(state) && Boolean(payment.kind) && !payment.risk;
    const [head, hint] = this.words(payment, isPayable);
    return h(
      "section",
      { class: `pay-card card is-${state}`, key: "pay", "aria-label": t("pay.title") },
      h(
        "div",
        { class: "pay-head" },
        h("span", { class: "pay-sign", "aria-hidden": "true" }, sign(payment, isPayable)),
        h("div", {}, h("h2", { role: "status" }, head), h("p", { class: "muted" }, hint)),
        h("b", { class: "pay-amount" }, yuan(payment.amount_fen ?? order.quote.total_fen)),
      ),
      isPayable && instead(payment),
      payment.parts > 1 && parts(payment),
      !this.isReached && offline(),
      payment.risk && state !== "success" && this.risk(order, payment),
      isPayable && (payment.kind === "sandbox" ? this.cashier(payment) : this.provider(order, payment)),
      OPEN.has(state) && !payment.risk && expiry(payment),
      payment.parts > 1 && h("p", { class: "hint", key: "parts-hint" }, icon("info"), t("pay.parts.all")),
      this.campus.has_job_hint && this.isShort(payment) && jobHint(),
      (state === "failed" || OPEN.has(state)) && !payment.risk && this.otherWays(order, payment),
      assurances(
        this.campus,
        order.stops.map((stop) => stop.place_id),
      ),
      h("p", { class: "hint" }, icon("shield"), t("pay.safety")),
    );
  }

  /** The head line and what it means. */
  words(payment, isPayable) {
    const { state, risk } = payment;
    if (risk && state !== "success") return [t(`pay.risk.title.${risk.decision}`), t("pay.hint.unpaid")];
    if (state === "failed") {
      return [t("pay.state.failed"), `${reasonText(payment.reason)} ${t("pay.hint.failed")}`.trim()];
    }
    if (!OPEN.has(state)) return [t(`pay.state.${state}`), t(`pay.hint.${state}`)];
    if (isOver(payment)) return [t("pay.state.asking"), t("pay.hint.late")];
    if (this.wasAway) return [t("pay.state.asking"), t("pay.hint.asking")];
    if (isPayable) return [t("pay.ready"), t(payment.kind === "sandbox" ? "pay.hint.ready" : `pay.hint.${payment.kind}`)];
    const channel = this.channels.find(({ code }) => code === payment.channel);
    if (channel) return [t("pay.state.at", { channel: pick(channel, "name") }), t("pay.hint.at")];
    return [t(`pay.state.${state}`), t(`pay.hint.${state}`)];
  }

  isShort(payment) {
    const reason = this.declined ?? (payment.state === "failed" ? payment.reason : null);
    return familyOf(reason) === "insufficient";
  }

  provider(order, payment) {
    return payWith(payment, {
      orderId: order.id,
      paint: this.paint,
      isBusy: this.isBusy,
      isFresh: this.fresh.has(order.id),
      onLeave: () => this.leave(order.id),
    });
  }

  /** The demonstration's wallet. */
  cashier(payment) {
    const pay = (outcome) =>
      this.act(() => this.api.post("/sandbox/pay", { token: payment.credential.token, outcome }));
    const { part, parts: count } = payment;
    return h(
      "div",
      { class: "cashier", key: "cashier" },
      this.declined &&
        h(
          "p",
          { class: "form-error", role: "alert" },
          codeText("pay.reason", this.declined),
          " ",
          t("pay.hint.failed"),
        ),
      h("p", {}, h("span", { class: "pill" }, t("pay.demo")), " ", t("pay.cashier")),
      h(
        "button",
        { type: "button", class: "button primary wide big", disabled: this.isBusy, onclick: () => pay("ok") },
        count > 1 ? t("pay.go_part", { part, parts: count }) : t("pay.go", { price: yuan(payment.amount_fen) }),
      ),
      h(
        "button",
        { type: "button", class: "button quiet wide", disabled: this.isBusy, onclick: () => pay("insufficient") },
        t("pay.insufficient"),
      ),
    );
  }

  risk(order, payment) {
    const path = `/orders/${order.id}/payment`;
    return riskCard(payment, {
      isBusy: this.isBusy,
      code: this.code,
      fault: this.fault,
      onProof: (token) => this.act(() => this.api.post(`${path}/proof`, { token })),
      onAskCode: () =>
        this.act(async () => {
          this.code = { id: (await this.api.post(`${path}/code`)).code_id };
        }),
    });
  }

  /** Every channel that takes payments now, the chosen one first. */
  otherWays(order, payment) {
    const isFailed = payment.state === "failed";
    const ways = ready(this.channels)
      .sort((a, b) => Number(b.code === payment.channel) - Number(a.code === payment.channel))
      .map((channel) => this.way(order, payment, channel, isFailed));
    ways.push(...bindButtons(this.channels, { isBusy: this.isBusy, onBind: (channel) => this.bind(order, channel) }));
    if (isFailed) return h("div", { class: "cashier", key: "again" }, ways);
    if (this.channels.length < 2) return null;
    return h(
      "details",
      { class: "other-ways", key: "other" },
      h("summary", {}, t("pay.other_way")),
      h("div", { class: "cashier" }, ways, h("p", { class: "hint" }, icon("info"), t("pay.other_way.hint"))),
    );
  }

  way(order, payment, channel, isFailed) {
    const isNow = !isFailed && channel.code === payment.channel;
    return h(
      "button",
      {
        type: "button",
        class: `button ${isFailed ? "primary" : "quiet"} wide`,
        key: channel.code,
        "data-channel": channel.code,
        disabled: this.isBusy || isNow,
        "aria-current": isNow ? "true" : null,
        onclick: () => this.choose(order, channel.code),
      },
      t("pay.again_with", { channel: pick(channel, "name") }),
      channel.is_demo && h("small", { class: "pill" }, t("pay.demo")),
    );
  }
}

function isOver(payment) {
  return Boolean(payment.expires_at_ms) && realSecondsUntil(payment.expires_at_ms) <= 0;
}

function expiry(payment) {
  if (!payment.expires_at_ms || isOver(payment)) return null;
  const left = countdown(realSecondsUntil(payment.expires_at_ms));
  return h("p", { class: "hint", key: "expiry" }, icon("clock"), t("pay.expires", { left }));
}

/** The chosen way did not work, and another was taken: whoever pays has to know before. */
function instead(payment) {
  const wanted = payment.passed_over;
  if (!wanted) return null;
  const names = { wanted: pick(wanted, "name"), channel: pick(payment, "name") };
  // Two accounts at one provider are one way to pay, to whoever pays.
  if (names.wanted === names.channel) return null;
  const why = wanted.reason && familyOf(wanted.reason) !== "no_channel" ? ` ${reasonText(wanted.reason)}` : "";
  return h("p", { class: "note", key: "instead", role: "status" }, icon("swap"), t("pay.instead", names), why);
}

/** An amount over the channel's limit is paid one part after the other. */
function parts({ part, parts: count, state }) {
  const paid = state === "success" ? count : part - 1;
  return h(
    "div",
    { class: "pay-parts", key: "parts" },
    h("progress", { max: count, value: paid, "aria-label": t("pay.parts.label") }),
    h("p", {}, h("b", {}, t("pay.parts.now", { part, parts: count })), " ", t("pay.parts.paid", { paid })),
  );
}

function sign({ state, risk }, isPayable) {
  if (state === "success") return icon("check");
  if (risk) return icon("shield");
  if (state === "failed" || state === "suspicious") return icon("warning");
  return isPayable ? icon("wallet") : h("span", { class: "spinner" });
}
