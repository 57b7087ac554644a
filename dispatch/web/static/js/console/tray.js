/** Below the map: alerts to acknowledge, and the runners with their load; rows are places to drop an order on. */

import { h, render } from "../dom.js";
import { clockTime, codeText, pick, t } from "../i18n.js";
import { icon } from "../icons.js";
import { positionAge } from "../map-layers.js";

/** @param {import("./board.js").Board} board */
export function paintTray(
  element,
  { board, view, drag, onChange, onAcknowledge, onOrder, onRunner, onCredit, onWeek },
) {
  const openAlerts = board.alerts.filter((alert) => !alert.is_acknowledged).length;
  render(
    element,
    h(
      "div",
      { class: "tray-alerts" },
      h(
        "div",
        { class: "panel-head" },
        h("h2", {}, t("alerts.title"), openAlerts > 0 && h("span", { class: "badge" }, openAlerts)),
      ),
      alertList(board, { onAcknowledge, onOrder, onRunner: onCredit }),
    ),
    h(
      "div",
      { class: "tray-runners" },
      h(
        "div",
        { class: "panel-head" },
        h("h2", {}, t("runners.title")),
        h(
          "label",
          { class: "switch small" },
          h("input", {
            type: "checkbox",
            checked: view.isOffShown,
            onchange: (event) => onChange({ isOffShown: event.target.checked }),
          }),
          h("span", {}, t("runners.off_too")),
        ),
      ),
      runnerTable(board, {
        isOffShown: view.isOffShown,
        chosenId: view.runnerId,
        onRunner,
        onOrder,
        onCredit,
        onWeek,
        drag,
      }),
    ),
  );
}

/** @param {import("./board.js").Board} board */
function alertList(board, { onAcknowledge, onOrder, onRunner }) {
  const open = board.alerts.filter((alert) => !alert.is_acknowledged);
  return h(
    "ul",
    { class: "alerts", "aria-label": t("alerts.title") },
    open.map((alert) =>
      h(
        "li",
        { key: alert.id, class: `alert is-${alert.kind}` },
        icon("warning"),
        h(
          "button",
          {
            type: "button",
            class: "link grow",
            disabled: !alert.order_id && !alert.account_id,
            onclick: () => (alert.order_id ? onOrder(alert.order_id) : onRunner(alert.account_id)),
          },
          h("time", {}, clockTime(alert.at_ms)),
          " ",
          pick(alert, "text"),
        ),
        h(
          "button",
          { type: "button", class: "button small", onclick: () => onAcknowledge(alert) },
          icon("check"),
          t("alerts.ok"),
        ),
      ),
    ),
    !open.length && h("li", { class: "empty", key: "none" }, icon("check"), t("alerts.none")),
  );
}

/** @param {import("./board.js").Board} board */
function runnerTable(board, { isOffShown, chosenId, onRunner, onOrder, onCredit, onWeek, drag }) {
  const list = board.runnerList({ isOffShown });
  return h(
    "ul",
    { class: "runner-cards", "aria-label": t("runners.title") },
    list.map(({ runner, face, orders }) => {
      const position = board.positions.get(runner.id);
      return h(
        "li",
        {
          key: runner.id,
          class: `runner-card is-${face.look} ${chosenId === runner.id ? "is-chosen" : ""}`,
          "data-runner": runner.id,
          ondragover: (event) => drag.over(event, runner.id),
          ondragleave: (event) => drag.leave(event),
          ondrop: (event) => drag.drop(event, runner.id),
        },
        h(
          "button",
          { type: "button", class: "runner-name", onclick: () => onRunner(runner.id) },
          h("span", { class: `face is-${face.look}` }, face.text),
          h("b", {}, runner.name),
          icon(runner.vehicle === "e_bike" ? "bike" : "walk"),
        ),
        h(
          "span",
          { class: "runner-orders" },
          orders.length
            ? orders.map((order) =>
                h(
                  "button",
                  {
                    type: "button",
                    class: `code-chip ${board.isLate(order) ? "is-late" : ""}`,
                    onclick: () => onOrder(order.id),
                  },
                  order.code,
                ),
              )
            : h("span", { class: "muted" }, t(runner.is_on_duty ? "legend.idle" : "legend.off")),
        ),
        h(
          "button",
          { type: "button", class: "link small runner-away", onclick: () => onWeek(runner) },
          icon("clock"),
          runner.is_on_duty && runner.excluded
            ? codeText("availability", runner.excluded, runner.excluded)
            : t("week.title"),
        ),
        h(
          "span",
          { class: "muted small" },
          face.look === "late" && `${t("console.minutes_late", { n: board.minutesLate(orders) })} · `,
          h(
            "button",
            {
              type: "button",
              class: "link",
              "aria-label": t("credit.open", { name: runner.name, n: runner.credit }),
              onclick: () => onCredit(runner.id),
            },
            t("runner.credit", { n: runner.credit }),
            runner.credit_level !== "normal" && ` · ${t(`credit.level.${runner.credit_level}`)}`,
          ),
          " · ",
          position ? positionAge(position.at) : t("map.no_position"),
        ),
      );
    }),
    !list.length && h("li", { class: "empty", key: "none" }, t("runners.none")),
  );
}
