/** Orders as rows to open. */

import { h } from "../dom.js";
import { currentLanguage, dayAndTime, t, yuan } from "../i18n.js";
import { typeIcon } from "../icons.js";

/** @param {any[]} orders */
export function orderList(orders, { onOrder, title: heading, key }) {
  if (!orders.length) return null;
  return h(
    "section",
    { class: "order-list", key },
    h("h2", {}, heading),
    h(
      "ul",
      {},
      orders.map((order) =>
        h(
          "li",
          { key: order.id },
          h(
            "button",
            { type: "button", class: "order-row card", onclick: () => onOrder(order) },
            h("span", { class: "row-type" }, typeIcon(order.type_code)),
            h(
              "span",
              { class: "grow" },
              h("b", {}, order.stops.at(-1)?.label ?? order.description),
              h(
                "small",
                { class: "muted", lang: currentLanguage() },
                `${t(`type.${order.type_code}`)} · ${dayAndTime(order.placed_at_ms)}`,
              ),
            ),
            h(
              "span",
              { class: "row-end" },
              h("span", { class: `pill is-${order.status}` }, t(`status.${order.status}`)),
              h("small", {}, yuan(order.quote.total_fen)),
            ),
          ),
        ),
      ),
    ),
  );
}
