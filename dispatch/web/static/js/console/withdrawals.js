/** Withdrawals in the money view: what waits for a look, and what was paid. */

import { askWords } from "../credit.js";
import { h } from "../dom.js";
import { codeText, dayAndTime, t, yuan } from "../i18n.js";
import { icon } from "../icons.js";

const TONES = { held: "is-open", under_way: "is-taken", done: "is-good", failed: "is-alarm", refused: "" };

/**
 * @param {any[]} withdrawals
 * @param {((withdrawal: any, isApproved: boolean) => void) | null} onReview null: this account may only look
 */
export function withdrawalRows(withdrawals, onReview) {
  return h(
    "ul",
    { class: "money-list" },
    withdrawals.map((one) => row(one, onReview)),
    !withdrawals.length && h("li", { class: "empty", key: "none" }, icon("check"), t("money.withdrawals_none")),
  );
}

function row(one, onReview) {
  const isWaiting = one.state === "held";
  return h(
    "li",
    { key: one.id, class: `money-card ${TONES[one.state] ?? ""}`, "data-withdrawal": one.id },
    icon("wallet"),
    h(
      "div",
      {},
      h("b", {}, t("money.withdrawal", { who: one.account_name, amount: yuan(one.amount_fen) })),
      h("p", {}, [t(`withdraw.state.${one.state}`), why(one)].filter(Boolean).join(" · ")),
      one.reviewed_by_name &&
        h("p", { class: "muted" }, t("money.withdrawal_by", { who: one.reviewed_by_name, why: one.review_reason })),
      h(
        "p",
        { class: "muted small" },
        dayAndTime(one.asked_at_ms),
        one.is_automatic && ` · ${t("withdraw.automatic")}`,
        one.parts > 0 && ` · ${t(one.parts === 1 ? "money.withdrawal_orders_1" : "money.withdrawal_orders", { n: one.parts })}`,
      ),
      isWaiting && one.is_own && h("p", { class: "hint" }, t("money.withdrawal_own")),
      isWaiting && !one.is_own && onReview && reviewButtons(one, onReview),
    ),
  );
}

function why(one) {
  if (one.state === "done" || !one.reason) return "";
  return codeText("money.withdrawal", one.reason, codeText("withdraw.reason", one.reason.toLowerCase(), one.reason));
}

function reviewButtons(one, onReview) {
  const button = (name, label, isApproved) =>
    h("button", { type: "button", class: "button small", onclick: () => onReview(one, isApproved) }, icon(name), label);
  return h(
    "div",
    { class: "actions" },
    button("check", t("money.withdrawal.approve"), true),
    button("close", t("money.withdrawal.refuse"), false),
  );
}

/** Why; null when somebody thinks better of it. @returns {Promise<{is_approved: boolean, reason: string} | null>} */
export async function askVerdict(one, isApproved) {
  const name = isApproved ? "approve" : "refuse";
  const said = await askWords({
    title: t(`money.withdrawal.${name}_title`),
    button: t(`money.withdrawal.${name}`),
    most: 250,
    more: [
      h("p", {}, t("money.withdrawal", { who: one.account_name, amount: yuan(one.amount_fen) })),
      !isApproved && h("p", { class: "muted" }, t("money.withdrawal.refuse_hint")),
    ],
  });
  return said && { is_approved: isApproved, reason: said.words };
}
