/** Nobody comes: the student may wait on, or cancel and have everything back. */

import { h } from "../dom.js";
import { now } from "../clock.js";
import { duration, t } from "../i18n.js";
import { icon } from "../icons.js";

/** @param {any} order @param {{isBusy: boolean, onWait: () => void, onCancel: () => void}} parts */
export function choiceCard(order, { isBusy, onWait, onCancel }) {
  const age = duration(Math.max(60, (now() - order.placed_at_ms) / 1000));
  return h(
    "section",
    { class: "card choice", key: "choice", role: "status" },
    h("p", {}, icon("clock"), " ", h("b", {}, t("choice.title"))),
    h("p", { class: "muted" }, t("choice.text", { age })),
    h(
      "div",
      { class: "choice-acts" },
      h("button", { type: "button", class: "button primary grow", onclick: onWait }, t("choice.wait")),
      h(
        "button",
        { type: "button", class: "button danger grow", id: "choice-cancel", disabled: isBusy, onclick: onCancel },
        t("choice.cancel"),
      ),
    ),
  );
}
