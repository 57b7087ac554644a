/** What an order's panel tells of it as it stands in the books: its stops, what happened, its money. */

import { h } from "../dom.js";
import { clockTime, codeText, distance, duration, pick, t, yuan } from "../i18n.js";

export function stops(order) {
  return h(
    "ol",
    { class: "stops" },
    order.stops.map((stop) =>
      h(
        "li",
        { class: `stop is-${stop.role}` },
        h("span", { class: `stop-mark is-${stop.role}` }, t(`stop.short.${stop.role}`)),
        h(
          "span",
          {},
          stop.label,
          stop.floor ? h("small", { class: "muted" }, ` ${t("stop.floor", { n: stop.floor })}`) : null,
        ),
      ),
    ),
  );
}

export function timeline(view) {
  if (!view) return h("p", { class: "muted" }, t("console.loading"));
  return h(
    "ol",
    { class: "timeline" },
    [...view.events].reverse().map((event) =>
      h(
        "li",
        { key: event.id },
        h("time", {}, clockTime(event.at_ms, true)),
        h(
          "span",
          {},
          codeText("event", event.kind),
          h(
            "small",
            { class: "muted" },
            [
              event.actor,
              event.data?.reason && codeText("reason", event.data.reason),
              ...whereAndWhen(event.data ?? {}),
            ]
              .filter(Boolean)
              .map((text) => ` · ${text}`)
              .join(""),
          ),
        ),
      ),
    ),
  );
}

/** How far from its stop something was pressed, how long the runner was there, and when a late order is expected. */
function whereAndWhen(data) {
  const { accuracy_m: accuracy, service_s: seconds, expected_ms: expected } = data;
  const away = data.distance_from_stop_m ?? data.distance_m;
  const pressed = accuracy ? "order.pressed_within" : "order.pressed_at";
  return [
    away !== undefined && away !== null && t(pressed, { d: distance(away), a: distance(accuracy ?? 0) }),
    data.is_far_from_stop && t("order.pressed_far"),
    seconds !== undefined && t("order.service", { age: duration(seconds) }),
    expected && t("order.expected", { at: clockTime(expected), promised: clockTime(data.promised_ms) }),
    data.alert && pick(data.alert, "text"),
  ];
}

export function money(order) {
  const { quote } = order;
  return [
    h(
      "table",
      { class: "money" },
      h(
        "tbody",
        {},
        quote.lines.map((line) =>
          h("tr", {}, h("th", { scope: "row" }, pick(line, "label")), h("td", {}, yuan(line.amount_fen))),
        ),
        h("tr", { class: "total" }, h("th", { scope: "row" }, t("money.total")), h("td", {}, yuan(quote.total_fen))),
      ),
    ),
    h(
      "dl",
      { class: "facts" },
      ["held", "captured", "released", "refunded"].map((name) => [
        h("dt", {}, t(`money.${name}`)),
        h("dd", {}, yuan(order[`${name}_fen`] ?? 0)),
      ]),
      order.goods_actual_fen !== null &&
        order.goods_actual_fen !== undefined && [
          h("dt", {}, t("money.goods_actual")),
          h("dd", {}, yuan(order.goods_actual_fen)),
        ],
      order.settle_at_ms && [h("dt", {}, t("money.settles")), h("dd", {}, clockTime(order.settle_at_ms))],
    ),
    h(
      "p",
      { class: "muted small" },
      t("money.rule", { version: quote.rule_version, time: duration(quote.duration_s) }),
    ),
  ];
}
