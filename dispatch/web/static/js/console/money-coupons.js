/** Coupons in the money view: what was given and used, what it cost, and what they are given for. */

import { h } from "../dom.js";
import { codeText, t, yuan } from "../i18n.js";

/** @param {any} coupons @param {number} costFen what their payers have borne */
export function couponTable({ today, total }, costFen) {
  const given = (sum) => `${sum.granted} · ${yuan(sum.granted_fen)}`;
  return h(
    "div",
    { class: "money-section" },
    h(
      "table",
      { class: "money-runs" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["reason", "today", "granted", "open", "used"].map((name) =>
            h("th", { scope: "col", class: name === "reason" ? "" : "is-number" }, t(`money.coupons.${name}`)),
          ),
        ),
      ),
      h(
        "tbody",
        {},
        total.map((sum, row) =>
          h(
            "tr",
            { key: sum.reason, "data-coupons": sum.reason },
            h("th", { scope: "row" }, codeText("coupon.reason", sum.reason)),
            h("td", { class: "is-number" }, given(today[row])),
            h("td", { class: "is-number" }, given(sum)),
            h("td", { class: "is-number" }, yuan(sum.available_fen + sum.reserved_fen)),
            h("td", { class: "is-number" }, `${sum.used} · ${yuan(sum.used_fen)}`),
          ),
        ),
      ),
    ),
    h("p", { class: "muted small" }, t("money.coupons.cost", { price: yuan(costFen) })),
  );
}

/** @param {any} coupons @param {(rules: any) => void} onSave */
export function couponRules({ rules, version }, onSave) {
  const { late, failure, off_peak: offPeak } = rules;
  const hour = (time) => time.slice(0, 5);
  const labels = {
    late: t("money.coupons.late", { n: Math.round(late.after_s / 60) }),
    failure: t("money.coupons.failure", { price: yuan(failure.daily_fen) }),
    off_peak: t("money.coupons.off_peak", {
      start: hour(offPeak.start), end: hour(offPeak.end), price: yuan(offPeak.daily_fen),
    }),
  };
  const row = (name) =>
    h(
      "div",
      { class: "coupon-rule", key: name },
      h(
        "label",
        {},
        h("input", { type: "checkbox", name: `${name}_on`, checked: rules[name].is_on }),
        h("span", {}, labels[name]),
      ),
      h(
        "label",
        { class: "field narrow" },
        h("span", {}, t("money.coupons.amount")),
        h("input", {
          class: "input", type: "number", name: `${name}_yuan`, min: 0.01, max: 100, step: 0.01, required: true,
          value: (rules[name].amount_fen / 100).toFixed(2),
        }),
      ),
    );
  const onsubmit = (event) => {
    event.preventDefault();
    const said = new FormData(event.target);
    const rule = (name) => ({
      is_on: said.has(`${name}_on`),
      amount_fen: Math.round(Number(said.get(`${name}_yuan`)) * 100),
    });
    onSave({ version, late: rule("late"), failure: rule("failure"), off_peak: rule("off_peak") });
  };
  return h(
    "details",
    { class: "coupon-rules", key: `rules-${version}` },
    h("summary", {}, t("money.coupons.rules")),
    h(
      "form",
      { onsubmit },
      ["late", "failure", "off_peak"].map(row),
      h("button", { class: "button small primary" }, t("money.coupons.save")),
    ),
  );
}
