/** Where a runner is paid to, where a way to pay has to know it: told once, changed with a one-time code, never shown. */

import { h } from "../dom.js";
import { pick, t } from "../i18n.js";
import { icon } from "../icons.js";
import { withCode } from "../one-time-code.js";
import { ask, toast, toastError } from "../shell.js";

/** @param {any[]} channels PayoutChannel @param {() => void} onAccount */
export function payoutAccounts(channels, onAccount) {
  if (!channels.length) return null;
  return h(
    "section",
    { class: "card", key: "payout", id: "payout" },
    h("h2", {}, t("payout.title")),
    h("ul", { class: "wallet-lines" }, channels.map((channel) => line(channel, onAccount))),
  );
}

function line(channel, onAccount) {
  const isTold = !channel.lacks.length;
  const isByPage = channel.lacks.includes("openid");
  return h(
    "li",
    { class: `withdrawal ${isTold ? "is-done" : "is-held"}`, key: channel.code, "data-payout": channel.code },
    h("span", { class: "withdrawal-mark" }, icon(isTold ? "check" : "warning")),
    h(
      "span",
      { class: "grow" },
      h("b", {}, pick(channel, "name")),
      h("span", { class: "small" }, t(isTold ? "payout.told" : isByPage ? "payout.by_page" : "payout.lacking")),
    ),
    isByPage
      ? h("a", { class: "button small", href: "/track" }, t("payout.open_page"))
      : h("button", { type: "button", class: "button small", onclick: onAccount }, t(isTold ? "payout.change" : "payout.tell")),
  );
}

/** Ask for the account and keep it; true when it was. @param {import("../api.js").Api} api */
export async function setPayoutAccount(api) {
  const account = await ask({
    title: t("payout.alipay_title"),
    content: (close) =>
      h(
        "form",
        {
          onsubmit: (event) => {
            event.preventDefault();
            close(String(new FormData(event.target).get("account")).trim());
          },
        },
        h(
          "label",
          { class: "field" },
          h("span", {}, t("payout.alipay_label")),
          h("input", {
            class: "input",
            id: "payout-account",
            name: "account",
            inputmode: "numeric",
            autocomplete: "off",
            pattern: "2088[0-9]{12}",
            maxlength: 16,
            required: true,
          }),
        ),
        h("p", { class: "hint" }, icon("info"), t("payout.alipay_hint")),
        h("button", { class: "button primary wide" }, icon("check"), t("payout.keep")),
      ),
  });
  if (!account) return false;
  try {
    const done = await withCode(api, { kind: "change_payout_account" }, (codeId) =>
      api.call("PUT", "/runner/payout-account", { alipay_user_id: account, code_id: codeId }),
    );
    if (done) toast(t("payout.kept"), { kind: "good" });
    return Boolean(done);
  } catch (error) {
    toastError(error);
    return false;
  }
}
