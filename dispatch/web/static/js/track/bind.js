/** Making oneself known to a way to pay: at a page of the provider's, or with the word that one was given for a card. */

import { h } from "../dom.js";
import { pick, read, remember, t } from "../i18n.js";
import { icon } from "../icons.js";
import { withCode } from "../one-time-code.js";
import { ask, toast, toastError } from "../shell.js";

/** Which channel's page the student went away to, and with which confirmed code. */
const BINDING = "dispatch.binding";

/** What a code allows here: runners may be paid at the account that a channel is told. */
const PAID_TO = /** @type {const} */ ({ kind: "change_payout_account" });

/** @typedef {{code: string, name_zh: string, name_en: string, is_demo: boolean, needs: string[], binding: string,
 *   is_bound: boolean}} Channel */

/** What knows enough of the student already. @param {Channel[]} channels */
export const ready = (channels) => channels.filter(({ needs }) => !needs?.length);

/**
 * A button for each way to pay that has to know more first.
 * @param {Channel[]} channels
 * @param {{isBusy?: boolean, onBind: (channel: Channel) => void}} parts
 */
export function bindButtons(channels, { isBusy = false, onBind }) {
  return channels
    .filter(({ needs }) => needs?.length)
    .map((channel) =>
      h(
        "button",
        {
          type: "button",
          class: "button quiet wide",
          key: `bind-${channel.code}`,
          "data-bind": channel.code,
          disabled: isBusy,
          onclick: () => onBind(channel),
        },
        icon("plus"),
        t("bind.first", { channel: pick(channel, "name") }),
      ),
    );
}

/** A link for each way to pay that was told of the student, to have it forgotten. */
export function unbindButtons(channels, { isBusy = false, onUnbind }) {
  return channels
    .filter((channel) => channel.is_bound)
    .map((channel) =>
      h(
        "button",
        {
          type: "button",
          class: "link small",
          key: `unbind-${channel.code}`,
          "data-unbind": channel.code,
          disabled: isBusy,
          onclick: () => onUnbind(channel),
        },
        t("bind.undo", { channel: pick(channel, "name") }),
      ),
    );
}

/** Have it forgotten; whether it is. @param {import("../api.js").Api} api @param {Channel} channel */
export async function unbindChannel(api, channel) {
  try {
    const done = await withCode(api, PAID_TO, async (codeId) => {
      await api.call("DELETE", `/me/channels/${channel.code}/bind`, { code_id: codeId });
      return true;
    });
    if (done) toast(t("bind.undone", { channel: pick(channel, "name") }), { kind: "good", seconds: 4 });
    return Boolean(done);
  } catch (error) {
    toastError(error);
    return false;
  }
}

/**
 * Bind it; whether it is bound now. Whoever has to leave for it comes back to the page.
 * @param {import("../api.js").Api} api
 * @param {Channel} channel
 * @param {() => void} onLeave the browser goes to the provider's page now
 */
export async function bindChannel(api, channel, onLeave = () => {}) {
  try {
    if (channel.binding === "token") return await giveToken(api, channel);
    // Its page knows nobody who comes from elsewhere.
    if (/MicroMessenger/i.test(navigator.userAgent)) await leaveFor(api, channel.code, null, onLeave);
    else toast(t("bind.wechat.elsewhere", { channel: pick(channel, "name") }), { kind: "bad", seconds: 8 });
    return false;
  } catch (error) {
    toastError(error);
    return false;
  }
}

async function leaveFor(api, code, codeId, onLeave) {
  const { url } = await api.post(`/me/channels/${code}/page`);
  remember(BINDING, JSON.stringify([code, codeId]));
  onLeave();
  location.assign(url);
}

async function giveToken(api, channel) {
  const said = await ask({
    title: t("bind.title", { channel: pick(channel, "name") }),
    content: (close) =>
      h(
        "form",
        {
          onsubmit: (event) => {
            event.preventDefault();
            close(String(new FormData(event.target).get("token")).trim());
          },
        },
        h("p", {}, t("bind.token.text")),
        h(
          "label",
          { class: "field" },
          h("span", {}, t("bind.token.label")),
          h("input", {
            class: "input",
            name: "token",
            id: "card-token",
            autocomplete: "off",
            autocapitalize: "off",
            spellcheck: "false",
            pattern: "[0-9A-Za-z_.\\-]{4,128}",
            maxlength: 128,
            required: true,
          }),
        ),
        h(
          "label",
          { class: "check" },
          h("input", { type: "checkbox", id: "card-agreed", required: true }),
          h("span", {}, t("bind.token.agree")),
        ),
        h("button", { class: "button primary wide" }, t("bind.go")),
      ),
  });
  if (!said) return false;
  const body = { card_token: said, is_agreed: true };
  const done = await withCode(api, PAID_TO, async (codeId) => {
    await api.post(`/me/channels/${channel.code}/bind`, { ...body, code_id: codeId });
    return true;
  });
  if (done) toast(t("bind.done", { channel: pick(channel, "name") }), { kind: "good", seconds: 4 });
  return Boolean(done);
}

/** Back from a provider's page: what it gave is handed over, and stands in no address any more. */
export async function finishBinding(api) {
  const asked = new URLSearchParams(location.search);
  const [code, state] = [asked.get("code"), asked.get("state")];
  if (!code || !state) return;
  history.replaceState(null, "", location.pathname + location.hash);
  const [channel, confirmed] = JSON.parse(read(BINDING) ?? "[]");
  remember(BINDING, null);
  if (!channel) return;
  try {
    const done = await withCode(api, PAID_TO, async (codeId) => {
      // What the page gave is spent by the first try: with a code for it, it is asked once more.
      if (codeId) return leaveFor(api, channel, codeId, () => {});
      await api.post(`/me/channels/${channel}/bind`, { code, state, code_id: confirmed });
      return true;
    });
    if (done) toast(t("bind.page.done"), { kind: "good", seconds: 4 });
  } catch (error) {
    toast(t("bind.page.failed"), { kind: "bad", seconds: 8 });
    console.warn("bind:", error.code);
  }
}
