/** A student's coupons: what there is, what an order was given, and which one the next order uses. */

import { h } from "../dom.js";
import { codeText, dayAndTime, t, yuan } from "../i18n.js";
import { icon } from "../icons.js";
import { toast } from "../shell.js";
import { play } from "../sounds.js";

/** @typedef {import("../types.js").Coupon} Coupon */

const MOST = 20;

export class Purse {
  /** @param {{api: import("../api.js").Api, paint: () => void}} parts */
  constructor({ api, paint }) {
    Object.assign(this, { api, paint });
    /** Newest first. @type {Coupon[]} */
    this.coupons = [];
  }

  async load() {
    try {
      this.coupons = (await this.api.get("/me/coupons", { limit: MOST })).coupons;
    } catch (error) {
      console.warn("coupons:", error.code);
    }
    this.paint();
  }

  /** An order's student was given one. @param {{reason: string, amount_fen: number}} data */
  tell(data) {
    play("good");
    toast(said(data), { kind: "good" });
    this.load();
  }

  get usable() {
    return this.coupons.filter((coupon) => coupon.state === "available");
  }

  /** What there is to be used. */
  list() {
    const { usable } = this;
    if (!usable.length) return null;
    return h(
      "section",
      { class: "coupons", key: "coupons", "aria-label": t("coupon.title") },
      h("h2", {}, t("coupon.title")),
      h(
        "ul",
        { class: "coupon-list" },
        usable.map((coupon) =>
          h(
            "li",
            { class: "coupon card", key: coupon.id },
            h("b", { class: "coupon-worth" }, yuan(coupon.amount_fen)),
            h(
              "div",
              {},
              h("span", {}, codeText("coupon.reason", coupon.reason)),
              h("p", { class: "muted small" }, t("coupon.until", { at: dayAndTime(coupon.valid_until_ms) })),
            ),
          ),
        ),
      ),
    );
  }

  /** What was given for this order. @param {import("../types.js").Order} order */
  given(order) {
    const given = this.coupons.filter((coupon) => coupon.granted_for === order.id && coupon.state !== "expired");
    if (!given.length) return null;
    return h(
      "section",
      { class: "card coupon-told", key: "coupon-told", role: "status" },
      given.map((coupon) =>
        h(
          "p",
          { key: coupon.id },
          icon("gift"),
          h("b", {}, said(coupon)),
          " ",
          coupon.state === "available"
            ? t("coupon.until", { at: dayAndTime(coupon.valid_until_ms) })
            : t(`coupon.state.${coupon.state}`),
        ),
      ),
    );
  }
}

function said({ reason, amount_fen: fen }) {
  return t(`coupon.given.${reason}`, { price: yuan(fen) });
}

/** The coupon that a draft uses of those that there are: the one that ends first, unless the student chose otherwise.
 * @param {import("./draft.js").Draft} draft @param {Coupon[]} coupons */
export function couponFor(draft, coupons) {
  if (draft.isWithoutCoupon) return null;
  const chosen = coupons.find(({ id }) => id === draft.coupon_id) ?? coupons[0];
  return chosen?.id ?? null;
}

/** Which coupon is used, or none. @param {any} form the order form */
export function couponChoice(form) {
  const { draft, quote } = form;
  const coupons = quote?.coupons ?? [];
  if (!coupons.length) return null;
  const choice = (id, label, hint) =>
    h(
      "button",
      {
        type: "button",
        class: "chip",
        key: id ?? "none",
        "aria-pressed": String((draft.coupon_id ?? null) === id),
        onclick: () => form.change({ coupon_id: id, isWithoutCoupon: id === null }),
      },
      label,
      hint && h("small", {}, ` ${hint}`),
    );
  return h(
    "fieldset",
    { class: "choices", key: "coupon" },
    h("legend", {}, t("coupon.use")),
    h(
      "div",
      { class: "chips wrap" },
      coupons
        .slice(0, 5)
        .map((coupon) => choice(coupon.id, yuan(coupon.amount_fen), codeText("coupon.reason", coupon.reason))),
      choice(null, t("coupon.none")),
    ),
    h("p", { class: "hint" }, icon("info"), t("coupon.rule")),
  );
}
