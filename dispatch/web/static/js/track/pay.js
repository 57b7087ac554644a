/** Paying: what the payment is doing now, and the sandbox's cashier where a demonstration pays. */

import { h } from "../dom.js";
import { codeText, countdown, pick, t, yuan } from "../i18n.js";
import { icon } from "../icons.js";
import { realSecondsUntil } from "../clock.js";
import { toastError } from "../shell.js";

export class PayCard {
  /** @param {{api: import("../api.js").Api, paint: () => void, refetch: () => void}} parts */
  constructor({ api, paint, refetch }) {
    Object.assign(this, { api, paint, refetch });
    this.isBusy = false;
    /** Why the wallet said no; the credential can still be paid. @type {string | null} */
    this.declined = null;
    this.channels = [];
    api.get("/channels").then(
      (channels) => ((this.channels = channels), paint()),
      () => null,
    );
  }

  async act(work) {
    if (this.isBusy) return;
    Object.assign(this, { isBusy: true, declined: null });
    this.paint();
    try {
      await work();
    } catch (error) {
      if (error.code === "payment_declined") this.declined = error.detail?.reason ?? "declined";
      else toastError(error);
    }
    this.isBusy = false;
    this.refetch();
  }

  /** @param {import("../types.js").Order} order */
  view(order) {
    const payment = order.payment;
    const state = payment?.state ?? "pending";
    const isSandbox = payment?.credential?.kind === "sandbox" && ["pending", "processing"].includes(state);
    const left = payment?.expires_at_ms ? realSecondsUntil(payment.expires_at_ms) : null;
    return h(
      "section",
      { class: `pay-card card is-${state}`, key: "pay", "aria-label": t("pay.title") },
      h(
        "div",
        { class: "pay-head" },
        h("span", { class: "pay-sign", "aria-hidden": "true" }, sign(state, isSandbox)),
        h(
          "div",
          {},
          h("h2", { role: "status" }, t(isSandbox ? "pay.ready" : `pay.state.${state}`)),
          h(
            "p",
            { class: "muted" },
            payment?.reason ? codeText("pay.reason", payment.reason) : t(`pay.hint.${isSandbox ? "ready" : state}`),
          ),
        ),
        h("b", { class: "pay-amount" }, yuan(payment?.amount_fen ?? order.quote.total_fen)),
      ),
      isSandbox && this.cashier(payment),
      left !== null &&
        left > 0 &&
        ["pending", "processing"].includes(state) &&
        h("p", { class: "hint" }, icon("clock"), t("pay.expires", { left: countdown(left) })),
      state === "failed" && this.again(order),
      h("p", { class: "hint" }, icon("shield"), t("pay.safety")),
    );
  }

  /** The demonstration's wallet. */
  cashier(payment) {
    const pay = (outcome) =>
      this.act(() => this.api.post("/sandbox/pay", { token: payment.credential.token, outcome }));
    return h(
      "div",
      { class: "cashier" },
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
        t("pay.go", { price: yuan(payment.amount_fen) }),
      ),
      h(
        "button",
        { type: "button", class: "button quiet wide", disabled: this.isBusy, onclick: () => pay("insufficient") },
        t("pay.insufficient"),
      ),
    );
  }

  again(order) {
    const channels = this.channels.length ? this.channels : [];
    return h(
      "div",
      { class: "cashier" },
      channels.map((channel) =>
        h(
          "button",
          {
            type: "button",
            class: "button primary wide",
            key: channel.code,
            disabled: this.isBusy,
            onclick: () => this.act(() => this.api.post(`/orders/${order.id}/pay`, { channel: channel.code })),
          },
          t("pay.again_with", { channel: pick(channel, "name") }),
        ),
      ),
    );
  }
}

function sign(state, isSandbox) {
  if (state === "success") return icon("check");
  if (state === "failed" || state === "suspicious") return icon("warning");
  return isSandbox ? icon("wallet") : h("span", { class: "spinner" });
}
