/** Withdrawing: how much, under which limits, with a one-time code where one is needed; and what became of it. */

import { newKey } from "../api.js";
import { h, render } from "../dom.js";
import { codeText, dayAndTime, has, t, yuan } from "../i18n.js";
import { icon } from "../icons.js";
import { withCode } from "../one-time-code.js";
import { ask, toast, toastError } from "../shell.js";
import { askWechat, isInWechat } from "../wechat.js";

const SIGNS = { held: "clock", under_way: "swap", done: "check", failed: "warning", refused: "close" };

/** Fen of an amount in yuan that somebody typed; null when it is none. @param {string} text */
export function fenOf(text) {
  const plain = text.trim().replace(/^[¥￥]/, "").replace(/[,，。．]/g, ".");
  return /^\d{1,6}(\.\d{1,2})?$/.test(plain) ? Math.round(Number(plain) * 100) : null;
}

/** Why payments said no, in words. @param {import("../api.js").ApiError} error */
export function refusalText(error) {
  const { reason, limit } = error.detail ?? {};
  const key = `withdraw.limit.${reason}`;
  return has(key) ? t(key, { amount: yuan(limit), n: limit }) : codeText("error", error.code, error.message);
}

/** What to say when a withdrawal moves. @param {string} kind @param {any} data */
export function withdrawalNews(kind, data) {
  if (kind === "withdrawal_failed" && data.paid_fen) {
    return t("withdraw.news.partly", { amount: yuan(data.paid_fen), rest: yuan(data.amount_fen - data.paid_fen) });
  }
  const name = kind === "withdrawal_failed" && data.reason === "review" ? "withdrawal_refused" : kind;
  return t(`withdraw.news.${name.replace("withdrawal_", "")}`, { amount: yuan(data.amount_fen) });
}

/** What was asked for and not answered: the same amount again is the same withdrawal. */
let unanswered = { fen: 0, codeId: null, key: "" };

function keyFor(fen, codeId) {
  if (unanswered.fen !== fen || unanswered.codeId !== codeId) unanswered = { fen, codeId, key: newKey() };
  return unanswered.key;
}

/** Ask how much, send it, and say what became of it; true when something was asked for.
 * @param {import("../api.js").Api} api @param {any} wallet WalletView */
export async function withdraw(api, wallet) {
  const fen = await ask({ title: t("withdraw.title"), content: (close) => form(wallet, close) });
  if (!fen) return false;
  try {
    const done = await withCode(api, { kind: "withdraw", amount_fen: fen }, (codeId) =>
      api.post("/runner/withdrawals", { amount_fen: fen, code_id: codeId }, { key: keyFor(fen, codeId) }),
    );
    if (!done) return false;
    unanswered.fen = 0;
    // Of one that is held the runner's topic tells.
    if (done.state !== "held") toast(t("withdraw.asked", { amount: yuan(fen) }), { kind: "good" });
    return true;
  } catch (error) {
    if (!error?.isOutage) unanswered.fen = 0;
    if (error?.detail?.reason) toast(refusalText(error), { kind: "bad", seconds: 10 });
    else toastError(error);
    return true;
  }
}

function form(wallet, close) {
  const state = { text: (wallet.available_fen / 100).toFixed(2), fault: "" };
  const box = h("div", {});
  const submit = (event) => {
    event.preventDefault();
    const fen = fenOf(state.text);
    if (!fen) state.fault = t("withdraw.no_amount");
    else if (fen > wallet.available_fen) state.fault = t("withdraw.limit.available", { amount: yuan(wallet.available_fen) });
    else return close(fen);
    paint();
    box.querySelector("input").focus();
  };
  const paint = () =>
    render(
      box,
      h(
        "form",
        { onsubmit: submit, novalidate: true },
        h(
          "label",
          { class: "field" },
          h("span", {}, t("withdraw.amount")),
          h("input", {
            class: "input amount-input",
            id: "withdraw-amount",
            name: "amount",
            inputmode: "decimal",
            autocomplete: "off",
            value: state.text,
            "aria-invalid": String(Boolean(state.fault)),
            "aria-describedby": "withdraw-hint",
            oninput: (event) => (state.text = event.target.value),
          }),
        ),
        h(
          "p",
          { class: "hint", id: "withdraw-hint" },
          t("withdraw.available", { amount: yuan(wallet.available_fen) }),
          " ",
          h(
            "button",
            {
              type: "button",
              class: "link",
              onclick: () => {
                Object.assign(state, { text: (wallet.available_fen / 100).toFixed(2), fault: "" });
                paint();
              },
            },
            t("withdraw.all"),
          ),
        ),
        state.fault && h("p", { class: "form-error", role: "alert", key: "fault" }, state.fault),
        h("p", { class: "hint" }, icon("info"), t("withdraw.hint")),
        h("button", { class: "button primary wide", id: "withdraw-send" }, icon("wallet"), t("withdraw.send")),
      ),
    );
  paint();
  return box;
}

/** The button under what is available. @param {any} wallet @param {() => void} onWithdraw */
export function withdrawButton(wallet, onWithdraw) {
  const open = wallet.withdrawals.find((one) => ["held", "under_way"].includes(one.state) && !one.is_automatic);
  return h(
    "section",
    { class: "withdraw", key: "withdraw" },
    h(
      "button",
      {
        type: "button",
        class: "button primary wide",
        id: "withdraw",
        disabled: Boolean(open) || wallet.available_fen <= 0,
        onclick: onWithdraw,
      },
      icon("wallet"),
      t("withdraw.button"),
    ),
    wallet.withdrawing_fen > 0 &&
      h("p", { class: "hint", role: "status", id: "withdrawing" }, icon("clock"), t("withdraw.withdrawing", { amount: yuan(wallet.withdrawing_fen) })),
    wallet.pay_by_ms !== null &&
      wallet.available_fen > 0 &&
      h("p", { class: "hint", id: "pay-by" }, icon("info"), t("withdraw.by_itself", { at: dayAndTime(wallet.pay_by_ms) })),
  );
}

/** What was confirmed on this page and the server does not know yet. */
const confirmed = new Set();
let isAsking = false;

async function confirm(transfer, onDone) {
  if (isAsking) return;
  isAsking = true;
  const said = await askWechat("requestMerchantTransfer", transfer.invoke);
  isAsking = false;
  if (said === "ok") confirmed.add(transfer.id);
  else if (said !== "cancel") toast(t("withdraw.confirm.failed"), { kind: "bad", seconds: 10 });
  onDone();
}

/**
 * What waits for the runner's yes in WeChat, the oldest first: one after the other.
 * @param {any[]} transfers TransferToConfirm @param {() => void} onDone
 */
export function confirmations(transfers, onDone) {
  const all = transfers.filter(({ kind }) => kind === "wechat_transfer");
  if (!all.length) return null;
  const waiting = all.filter(({ id }) => !confirmed.has(id));
  const [first] = waiting;
  const sum = waiting.reduce((total, { amount_fen }) => total + amount_fen, 0);
  return h(
    "section",
    { class: "card", key: "to-confirm", id: "to-confirm", role: "status" },
    h("h2", {}, t("withdraw.confirm.title")),
    first
      ? h("p", {}, t("withdraw.confirm.text", { n: waiting.length, amount: yuan(sum) }))
      : h("p", { class: "muted" }, t("withdraw.confirm.asking")),
    first && isInWechat() && confirmButton(first, onDone),
    first && !isInWechat() && h("p", { class: "note", role: "note" }, t("withdraw.confirm.elsewhere")),
  );
}

function confirmButton(transfer, onDone) {
  return h(
    "button",
    { type: "button", class: "button primary wide", id: "confirm-transfer", onclick: () => confirm(transfer, onDone) },
    icon("check"),
    t("withdraw.confirm.go", { amount: yuan(transfer.amount_fen) }),
  );
}

/** What became of the newest ones. @param {any[]} withdrawals */
export function withdrawalList(withdrawals) {
  if (!withdrawals.length) return null;
  return h(
    "section",
    { class: "card", key: "withdrawals", id: "withdrawals" },
    h("h2", {}, t("withdraw.list")),
    h("ul", { class: "wallet-lines" }, withdrawals.map(withdrawalLine)),
  );
}

function withdrawalLine(one) {
  const why = whyText(one);
  return h(
    "li",
    { class: `withdrawal is-${one.state}`, key: one.id, "data-withdrawal": one.id },
    h("span", { class: "withdrawal-mark" }, icon(SIGNS[one.state] ?? "swap")),
    h(
      "span",
      { class: "grow" },
      h("b", {}, t(`withdraw.state.${one.state}`)),
      why && h("span", { class: "small" }, why),
      h(
        "small",
        { class: "muted" },
        dayAndTime(one.asked_at_ms),
        one.is_automatic && ` · ${t("withdraw.automatic")}`,
        one.finished_at_ms && one.finished_at_ms - one.asked_at_ms > 60_000 && ` → ${dayAndTime(one.finished_at_ms)}`,
      ),
    ),
    h("b", {}, yuan(one.amount_fen)),
  );
}

function whyText(one) {
  if (one.state === "held") return t(`withdraw.held.${one.reason === "over_threshold" ? "over_threshold" : "review"}`);
  if (one.state === "refused") return t("withdraw.refused", { why: one.said });
  if (one.state !== "failed") return "";
  const reason = codeText("withdraw.reason", one.reason.toLowerCase(), t("withdraw.reason.other", { code: one.reason }));
  return one.paid_fen ? `${t("withdraw.partly", { amount: yuan(one.paid_fen) })} ${reason}` : reason;
}
