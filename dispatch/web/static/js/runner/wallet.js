/** The wallet: what waits and until when, what is available and withdrawn, line by line; and the day's figures. */

import { h } from "../dom.js";
import { codeText, dayAndTime, t, yuan } from "../i18n.js";
import { icon } from "../icons.js";
import { payoutAccounts } from "./payout.js";
import { confirmations, withdrawalList, withdrawButton } from "./withdraw.js";

/**
 * @param {any} wallet WalletView, null while it is fetched
 * @param {{onWithdraw: () => void, onConfirmed: () => void, onAccount: () => void}} does
 */
export function walletView(wallet, { onWithdraw, onConfirmed, onAccount }) {
  if (!wallet) return h("p", { class: "muted", key: "wallet" }, t("console.loading"));
  const line = (entry, isPending) =>
    h(
      "li",
      { class: "wallet-line", key: `${entry.at_ms}-${entry.kind}-${entry.order_id}` },
      h(
        "span",
        { class: "grow" },
        h("b", {}, codeText("wallet.kind", entry.kind)),
        h(
          "small",
          { class: "muted" },
          isPending ? t("wallet.releases", { at: dayAndTime(entry.at_ms) }) : dayAndTime(entry.at_ms),
          entry.order_id && ` · ${entry.order_id.slice(-6)}`,
        ),
      ),
      h(
        "b",
        { class: entry.amount_fen < 0 ? "is-out" : "is-in" },
        `${entry.amount_fen > 0 ? "+" : ""}${yuan(entry.amount_fen)}`,
      ),
    );
  return [
    h(
      "section",
      { class: "wallet-sums", key: "sums" },
      h(
        "div",
        { class: "card sum is-available" },
        h("small", {}, t("wallet.available")),
        h("b", {}, yuan(wallet.available_fen)),
        h("small", { class: "muted" }, t("wallet.available_hint")),
      ),
      h(
        "div",
        { class: "card sum" },
        h("small", {}, t("wallet.pending")),
        h("b", {}, yuan(wallet.pending_fen)),
        h("small", { class: "muted" }, t("wallet.pending_hint")),
      ),
    ),
    withdrawButton(wallet, onWithdraw),
    confirmations(wallet.to_confirm, onConfirmed),
    payoutAccounts(wallet.payout, onAccount),
    withdrawalList(wallet.withdrawals),
    h(
      "section",
      { class: "card", key: "pending" },
      h("h2", {}, t("wallet.pending")),
      h(
        "ul",
        { class: "wallet-lines" },
        wallet.pending.map((entry) => line(entry, true)),
        !wallet.pending.length && h("li", { class: "empty", key: "none" }, t("wallet.none_pending")),
      ),
    ),
    h(
      "section",
      { class: "card", key: "lines" },
      h("h2", {}, t("wallet.lines")),
      h(
        "ul",
        { class: "wallet-lines" },
        wallet.lines.map((entry) => line(entry, false)),
        !wallet.lines.length && h("li", { class: "empty", key: "none" }, t("wallet.none")),
      ),
    ),
  ];
}

/** @param {any} state RunnerStateView @param {() => void} onCredit */
export function dayFigures(state, onCredit) {
  return h(
    "dl",
    { class: "day", key: "day", "aria-label": t("day.title") },
    h("div", {}, h("dt", {}, t("day.orders")), h("dd", {}, state.today_orders)),
    h("div", {}, h("dt", {}, t("day.earned")), h("dd", {}, yuan(state.today_fen))),
    h(
      "div",
      {},
      h("dt", {}, t("day.on_time")),
      h("dd", {}, state.on_time_percent === null ? "–" : `${state.on_time_percent}%`),
    ),
    h(
      "div",
      {},
      h("dt", {}, t("day.credit")),
      h(
        "dd",
        {},
        h(
          "button",
          {
            type: "button",
            class: `level is-${state.credit_level}`,
            "aria-label": `${t("day.credit")} ${state.credit}, ${t(`credit.level.${state.credit_level}`)}`,
            onclick: onCredit,
          },
          state.credit,
          state.credit_level === "good" && icon("star", "is-on"),
          ["warned", "limited", "removed"].includes(state.credit_level) && icon("warning"),
        ),
      ),
    ),
  );
}
