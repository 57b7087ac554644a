/** Words for what stands between a student and paying: a refusal, too little money, a check, a network that is gone. */

import { h } from "../dom.js";
import { codeText, t } from "../i18n.js";
import { icon } from "../icons.js";

/** What providers call their refusals, by what a student can do about it. The first that fits counts. */
const FAMILIES = [
  ["insufficient", /insufficient|not_?enough|balance|no_?money|ACQ\.BUYER_BALANCE|余额/i],
  ["limit", /limit|exceed|too_?large|超限|限额/i],
  ["expired", /expire|time_?out|overdue|unpaid/i],
  ["user_cancelled", /user_?cancel|revoked|by_payer/i],
  ["account", /account|card|bank_?error|frozen|contract|openid|token|credit_?card/i],
  ["no_channel", /no_?channel|unavailable|overload|connect|silence|no_?answer|interrupted|system|http_5/i],
];

/** @param {string | null | undefined} reason @returns {string} insufficient | limit | … | declined */
export function familyOf(reason) {
  if (!reason) return "";
  return FAMILIES.find(([, pattern]) => pattern.test(reason))?.[0] ?? "declined";
}

/** @param {string | null} reason */
export function reasonText(reason) {
  return reason ? codeText("pay.reason", reason, t(`pay.reason.${familyOf(reason)}`)) : "";
}

/** One line for whoever has too little money: there is work on the campus. */
export function jobHint() {
  return h(
    "p",
    { class: "hint", key: "job" },
    icon("bike"),
    h("span", {}, t("pay.job.text"), " ", h("a", { href: "/runner" }, t("pay.job.link"))),
  );
}

/** The server cannot be reached: nothing is lost, and nothing is decided. */
export function offline() {
  return h("p", { class: "note is-late", key: "offline", role: "status" }, icon("offline"), t("pay.offline"));
}

/**
 * What risk asks for.
 * @param {import("../types.js").Payment} payment
 * @param {{isBusy: boolean, code: {id: string} | null, fault: string | null, onProof: (token: string) => void,
 *   onAskCode: () => void}} parts
 */
export function riskCard({ risk }, { isBusy, code, fault, onProof, onAskCode }) {
  return h(
    "div",
    { class: "cashier", key: "risk" },
    h("p", {}, t(riskKey(risk))),
    risk.decision !== "challenge" && h("p", { class: "hint" }, icon("info"), codeText("pay.risk.code", risk.code, "")),
    fault && h("p", { class: "form-error", role: "alert" }, fault),
    risk.demo_proof &&
      h(
        "button",
        {
          type: "button",
          class: "button primary wide big",
          id: "pay-face",
          disabled: isBusy,
          onclick: () => onProof(risk.demo_proof),
        },
        icon("user"),
        t("pay.risk.face.go"),
      ),
    risk.challenge === "code" && (code ? codeForm(code, { isBusy, onProof }) : codeButton(isBusy, onAskCode)),
  );
}

function riskKey(risk) {
  if (risk.decision !== "challenge") return `pay.risk.${risk.decision}`;
  if (risk.challenge === "code") return "pay.risk.code_needed";
  return risk.demo_proof ? "pay.risk.face" : "pay.risk.face_elsewhere";
}

function codeButton(isBusy, onclick) {
  return h(
    "button",
    { type: "button", class: "button primary wide", id: "pay-ask-code", disabled: isBusy, onclick },
    t("pay.risk.code.send"),
  );
}

function codeForm(code, { isBusy, onProof }) {
  const onsubmit = (event) => {
    event.preventDefault();
    onProof(`${code.id}:${new FormData(event.target).get("code")}`);
  };
  return h(
    "form",
    { class: "pay-code-form", key: "code", onsubmit },
    h(
      "label",
      { class: "field" },
      h("span", {}, t("pay.risk.code.label")),
      h("input", {
        name: "code",
        id: "pay-code",
        inputmode: "numeric",
        autocomplete: "one-time-code",
        pattern: "[0-9]{6}",
        maxlength: 6,
        required: true,
      }),
    ),
    h("button", { class: "button primary wide", disabled: isBusy }, t("pay.risk.code.give")),
  );
}
