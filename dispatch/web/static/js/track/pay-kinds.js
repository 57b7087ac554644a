/** What the student does with a credential, by its kind: scan it, follow it, send it on, or hand it to an app. */

import { h } from "../dom.js";
import { pick, t } from "../i18n.js";
import { icon } from "../icons.js";
import { askWechat, bridgeOf, isInWechat } from "../wechat.js";

const MARGIN = 4;
const DRAWER = "/static/vendor/qrcode-generator/qrcode.mjs";
const SENT = "dispatch.sent";

/**
 * @typedef {object} Parts
 * @property {string} orderId
 * @property {() => void} paint
 * @property {() => void} onLeave the student goes to the provider now
 * @property {boolean} isBusy
 */

/** @param {import("../types.js").Payment} payment @param {Parts} parts */
export function payWith(payment, parts) {
  const { credential, kind } = payment;
  if (kind === "qr") return scan(payment, parts);
  if (kind === "redirect") return follow(credential, parts);
  if (kind === "form") return send(credential, parts);
  if (kind === "jsapi") return inWechat(credential, parts);
  return inApp(credential, parts);
}

// --- a code to scan

let drawer = null;
const drawn = new Map();

function scan(payment, { paint }) {
  const text = payment.credential.code_url;
  if (!drawn.has(text)) {
    drawn.clear();
    drawn.set(text, null);
    drawer ??= import(DRAWER).then((module) => module.default);
    drawer.then(
      (qrcode) => {
        drawn.set(text, path(qrcode, text));
        paint();
      },
      () => (drawer = null),
    );
  }
  const code = drawn.get(text);
  return h(
    "div",
    { class: "cashier pay-code", key: `code-${text}` },
    code
      ? h(
          "svg",
          { class: "qr", viewBox: `0 0 ${code.size} ${code.size}`, role: "img", "aria-label": t("pay.qr.label") },
          h("path", { d: code.d }),
        )
      : h("span", { class: "spinner" }),
    h("p", {}, h("b", {}, t("pay.qr.text", { channel: pick(payment, "name") ?? "" }))),
    // On the phone that would have to scan itself, the code can be kept and scanned from the pictures.
    h("p", { class: "hint" }, icon("info"), t("pay.qr.same_phone")),
  );
}

function path(qrcode, text) {
  const code = qrcode(0, "M");
  code.addData(text);
  code.make();
  const count = code.getModuleCount();
  let d = "";
  for (let row = 0; row < count; row += 1)
    for (let column = 0; column < count; column += 1)
      if (code.isDark(row, column)) d += `M${column + MARGIN} ${row + MARGIN}h1v1h-1z`;
  return { size: count + 2 * MARGIN, d };
}

// --- an address to go to

/** Only what a browser can go to: an address of another kind would be code. */
function isWeb(url) {
  try {
    return ["https:", "http:"].includes(new URL(url).protocol);
  } catch {
    return false;
  }
}

function follow(credential, { onLeave }) {
  const url = credential.url ?? address(credential.h5_url);
  if (!isWeb(url)) return unusable();
  return h(
    "div",
    { class: "cashier", key: "follow" },
    h("p", {}, t("pay.redirect.text")),
    h(
      "a",
      {
        class: "button primary wide big",
        id: "pay-go",
        href: url,
        // The cashier of one of them asks which site sends the payer, and takes nobody who will not say.
        referrerpolicy: "origin",
        ...(matchMedia("(pointer: coarse)").matches ? {} : { target: "_blank", rel: "noopener" }),
        onclick: onLeave,
      },
      t("pay.redirect.go"),
    ),
  );
}

/** The cashier sends the payer back to where they came from. */
function address(h5Url) {
  const back = encodeURIComponent(location.href);
  return `${h5Url}${h5Url?.includes("?") ? "&" : "?"}redirect_url=${back}`;
}

// --- a form to hand over

function send({ url, fields }, { orderId, onLeave, isFresh }) {
  if (!isWeb(url)) return unusable();
  const form = h(
    "form",
    { class: "cashier", key: "form", id: "pay-form", method: "post", action: url, "accept-charset": "utf-8" },
    Object.entries(fields ?? {}).map(([name, value]) => h("input", { type: "hidden", name, value: String(value) })),
    h("p", {}, t("pay.form.text")),
    h("button", { class: "button primary wide big", id: "pay-go", onclick: onLeave }, t("pay.redirect.go")),
  );
  if (isFresh && !document.hidden && once(`${orderId} ${fields?.orderId ?? ""}`)) {
    // By itself, but only the first time: whoever comes back decides anew.
    requestAnimationFrame(() => {
      onLeave();
      /** @type {HTMLFormElement | null} */ (document.getElementById("pay-form"))?.requestSubmit();
    });
  }
  return form;
}

function once(name) {
  try {
    if (sessionStorage.getItem(SENT) === name) return false;
    sessionStorage.setItem(SENT, name);
    return true;
  } catch {
    return false;
  }
}

// --- an app that the page runs in, or not

function inWechat({ invoke }, { onLeave, isBusy }) {
  if (!isInWechat()) return elsewhere("pay.wechat.elsewhere");
  const ask = async () => {
    onLeave();
    await askWechat("getBrandWCPayRequest", invoke);
    onLeave();
  };
  return button("pay.wechat.go", ask, isBusy);
}

function inApp(credential, { onLeave, isBusy }) {
  if (credential.kind === "alipay_app" && /AlipayClient/i.test(navigator.userAgent)) {
    const ask = async () => {
      onLeave();
      const bridge = await bridgeOf("AlipayJSBridgeReady", "AlipayJSBridge");
      bridge?.call("tradePay", { orderStr: credential.order }, () => onLeave());
    };
    return button("pay.alipay.go", ask, isBusy);
  }
  if (credential.kind === "alipay_app") return elsewhere("pay.alipay.elsewhere");
  return elsewhere("pay.app.elsewhere");
}

function button(key, onclick, isBusy) {
  return h(
    "div",
    { class: "cashier", key: "app" },
    h(
      "button",
      { type: "button", class: "button primary wide big", id: "pay-go", disabled: isBusy, onclick },
      t(key),
    ),
  );
}

function elsewhere(key) {
  return h("p", { class: "cashier", key: "elsewhere", role: "note" }, t(key));
}

const unusable = () => elsewhere("pay.unusable");
