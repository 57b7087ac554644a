/** A sensitive act with money: tried, and where it asks for a one-time code, tried again with one. */

import { h } from "./dom.js";
import { codeText, t } from "./i18n.js";
import { icon } from "./icons.js";
import { ask } from "./shell.js";

/**
 * @typedef {object} Act the very act that a code allows
 * @property {"withdraw" | "change_payout_account" | "operator_refund"} kind
 * @property {number} [amount_fen]
 * @property {string} [order_id]
 */

/**
 * Run an act; whoever gives up at the code gets null.
 * @template T
 * @param {import("./api.js").Api} api
 * @param {Act} act
 * @param {(codeId: string | null) => Promise<T>} run
 * @returns {Promise<T | null>}
 */
export async function withCode(api, act, run) {
  try {
    return await run(null);
  } catch (error) {
    if (error.code !== "code_needed") throw error;
  }
  const codeId = await askCode(api, act);
  return codeId ? run(codeId) : null;
}

/** Send a code, take it back, and say under which id it is confirmed. @param {Act} act @returns {Promise<string | null>} */
async function askCode(api, act) {
  let sent = await api.post("/me/codes", act);
  return ask({
    title: t("code.title"),
    content: (close) => {
      const said = h("p", { class: "hint", role: "status" }, t("code.sent"));
      const fault = h("p", { class: "form-error", role: "alert", hidden: true });
      const say = (error) => {
        fault.textContent = error.field === "code" ? t("code.wrong") : codeText("error", error.code, error.message);
        fault.hidden = false;
      };
      const onsubmit = async (event) => {
        event.preventDefault();
        fault.hidden = true;
        const code = String(new FormData(event.target).get("code"));
        try {
          await api.post(`/me/codes/${sent.code_id}/confirm`, { ...act, code });
          close(sent.code_id);
        } catch (error) {
          say(error);
        }
      };
      const again = async () => {
        fault.hidden = true;
        try {
          sent = await api.post("/me/codes", act);
          said.textContent = t("code.sent_again");
        } catch (error) {
          say(error);
        }
      };
      return h(
        "form",
        { onsubmit },
        said,
        h(
          "label",
          { class: "field" },
          h("span", {}, t("code.label")),
          h("input", {
            class: "input",
            name: "code",
            id: "one-time-code",
            inputmode: "numeric",
            autocomplete: "one-time-code",
            pattern: "[0-9]{6}",
            maxlength: 6,
            required: true,
          }),
        ),
        fault,
        h("button", { class: "button primary wide" }, icon("check"), t("code.give")),
        h("button", { type: "button", class: "button quiet wide", onclick: again }, t("code.again")),
      );
    },
  });
}
