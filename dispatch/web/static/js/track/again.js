/** "Again with": the runners who carried for the student before, to be asked first. */

import { h } from "../dom.js";
import { t } from "../i18n.js";

/** @param {any} form the order form; nothing for whoever has ordered nothing yet */
export function againWith(form) {
  const { draft, known } = form;
  if (!known.length) return null;
  const choice = (id, label, hint) =>
    h(
      "button",
      {
        type: "button",
        class: "chip",
        key: id ?? "anyone",
        "aria-pressed": String((draft.wish_runner_id ?? null) === id),
        onclick: () => form.change({ wish_runner_id: id }),
      },
      label,
      hint && h("small", { class: "muted" }, ` ${hint}`),
    );
  return h(
    "fieldset",
    { class: "choices", key: "again" },
    h("legend", {}, t("again.title")),
    h(
      "div",
      { class: "chips wrap" },
      choice(null, t("again.anyone")),
      known
        .slice(0, 5)
        .map((one) =>
          choice(
            one.id,
            [one.name, one.stars ? `★ ${one.stars.toFixed(1)}` : null].filter(Boolean).join(" "),
            t(one.is_ready ? "again.ready" : "again.away"),
          ),
        ),
    ),
  );
}
