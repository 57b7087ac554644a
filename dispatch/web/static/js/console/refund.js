/** Giving an order's money back: how much and why, then a one-time code to one's own phone. */

import { newKey } from "../api.js";
import { h } from "../dom.js";
import { askWords } from "../credit.js";
import { t, yuan } from "../i18n.js";
import { icon } from "../icons.js";
import { withCode } from "../one-time-code.js";
import { toast, toastError } from "../shell.js";

/** What is left of an order's money to be given back. @param {any} order */
export const left = (order) => (order.held_fen ?? 0) - (order.released_fen ?? 0) - (order.refunded_fen ?? 0);

/** @param {{api: import("../api.js").Api, order: any}} parts */
export function refundButton({ api, order }) {
  if (left(order) <= 0) return null;
  return h(
    "button",
    { type: "button", class: "button quiet", id: "refund", onclick: () => refund(api, order) },
    icon("undo"),
    t("refund.give"),
  );
}

/** What was asked for and not answered: the same refund again is the same one, with whichever code. */
let unanswered = { what: "", key: "" };

function keyFor(...parts) {
  const what = JSON.stringify(parts);
  if (unanswered.what !== what) unanswered = { what, key: newKey() };
  return unanswered.key;
}

/** @param {import("../api.js").Api} api */
async function refund(api, order) {
  const most = left(order);
  const said = await askWords({
    title: t("refund.title"),
    button: t("refund.give"),
    most: 500,
    more: h(
      "label",
      { class: "field" },
      h("span", {}, t("refund.amount", { most: yuan(most) })),
      h("input", {
        class: "input",
        name: "yuan",
        type: "number",
        inputmode: "decimal",
        min: "0.01",
        max: (most / 100).toFixed(2),
        step: "0.01",
        value: (most / 100).toFixed(2),
        required: true,
      }),
    ),
  });
  if (!said) return;
  const fen = Math.round(Number(said.yuan) * 100);
  const act = /** @type {const} */ ({ kind: "operator_refund", order_id: order.id, amount_fen: fen });
  try {
    const done = await withCode(api, act, (codeId) =>
      api.post(
        `/orders/${order.id}/refund`,
        { amount_fen: fen, reason: said.words, code_id: codeId },
        { key: keyFor(order.id, fen, said.words) },
      ),
    );
    if (!done) return;
    unanswered.what = "";
    toast(t("refund.begun", { amount: yuan(fen) }), { kind: "good", seconds: 4 });
  } catch (error) {
    if (!error.isOutage) unanswered.what = "";
    toastError(error);
  }
}
