/** An offer with its ring, and the hall's cards: what it pays, how far, how heavy, by when. */

import { h } from "../dom.js";
import { now, realSecondsUntil } from "../clock.js";
import { clockTime, codeText, distance, t, volume, weight, yuan } from "../i18n.js";
import { icon, typeIcon } from "../icons.js";

/** @param {any} item OfferView or HallItem */
function facts(item) {
  return h(
    "ul",
    { class: "facts-row" },
    item.stops.length > 0 &&
      item.pickup_m !== null &&
      item.pickup_m !== undefined &&
      h("li", {}, icon("locate"), t("offer.pickup", { d: distance(item.pickup_m) })),
    item.stops.length > 1 && h("li", {}, icon("flag"), t("offer.trip", { d: distance(item.trip_m) })),
    item.weight_g > 0 && h("li", {}, icon("carry"), weight(item.weight_g)),
    item.volume_ml > 0 && h("li", {}, icon("parcel"), volume(item.volume_ml)),
    h("li", {}, icon("clock"), t("offer.by", { at: clockTime(item.promised_at_ms) })),
    item.goods_cap_fen > 0 && h("li", {}, icon("wallet"), t("offer.goods", { price: yuan(item.goods_cap_fen) })),
  );
}

function way(item) {
  return h(
    "ol",
    { class: "stops" },
    item.stops.map((stop) =>
      h(
        "li",
        { class: "stop" },
        h("span", { class: `stop-mark is-${stop.role}` }, t(`stop.short.${stop.role}`)),
        h("span", {}, stop.label),
      ),
    ),
  );
}

/** @param {{offer: any, isBusy: boolean, onAccept: () => void, onDecline: () => void, onBusy: () => void}} parts */
export function offerCard({ offer, isBusy, onAccept, onDecline, onBusy }) {
  const left = Math.max(0, realSecondsUntil(offer.expires_at_ms));
  const share = Math.max(
    0,
    Math.min(1, (offer.expires_at_ms - now()) / Math.max(1, offer.expires_at_ms - offer.offered_at_ms)),
  );
  return h(
    "section",
    { class: "offer card", key: `offer-${offer.id}`, "aria-label": t("offer.title") },
    h(
      "div",
      { class: "offer-head" },
      h("span", { class: "type-sign" }, typeIcon(offer.type_code)),
      h(
        "div",
        { class: "grow" },
        h("p", { class: "muted" }, t("offer.title")),
        h("h1", { role: "alert" }, codeText("type", offer.type_code)),
        h("b", { class: "pay" }, yuan(offer.pay_fen)),
      ),
      h(
        "div",
        { class: `ring ${left < 5 ? "is-short" : ""}`, css: { "--share": share.toFixed(3) }, role: "timer" },
        h(
          "svg",
          { viewBox: "0 0 64 64", "aria-hidden": "true" },
          h("circle", { cx: 32, cy: 32, r: 28, class: "ring-base" }),
          h("circle", { cx: 32, cy: 32, r: 28, class: "ring-left", pathLength: 1 }),
        ),
        h("b", {}, Math.ceil(left)),
      ),
    ),
    facts(offer),
    way(offer),
    offer.description && h("p", { class: "description" }, offer.description),
    h(
      "div",
      { class: "offer-actions" },
      h("button", { type: "button", class: "button big", disabled: isBusy, onclick: onDecline }, t("offer.decline")),
      h(
        "button",
        {
          type: "button",
          class: "accept button primary big grow",
          disabled: isBusy || left <= 0,
          onclick: onAccept,
        },
        t("offer.accept"),
      ),
    ),
    h("button", { type: "button", class: "button small quiet", disabled: isBusy, onclick: onBusy }, t("offer.busy")),
  );
}

/** @param {{hall: any, isOnDuty: boolean, busyId: string | null, calledId: string | null, onGrab: (item: any) => void, onLook: (item: any) => void}} parts */
export function hallList({ hall, isOnDuty, busyId, calledId, onGrab, onLook }) {
  if (!hall) return h("p", { class: "muted", key: "hall" }, t("console.loading"));
  if (hall.mode === "dispatch" && !hall.items.length) return h("p", { class: "empty", key: "hall" }, t("hall.dispatch_only"));
  return [
    !isOnDuty && h("p", { class: "note", key: "duty" }, icon("info"), t("hall.duty_first")),
    h(
      "ul",
      { class: "hall", key: "hall" },
      hall.items.map((item) =>
        h(
          "li",
          { class: `card hall-item ${calledId === item.order_id ? "is-called" : ""}`, key: item.order_id },
          calledId === item.order_id && h("p", { class: "note" }, icon("bell"), t("hall.called")),
          h(
            "button",
            { type: "button", class: "hall-head", onclick: () => onLook(item), "aria-label": t("hall.look") },
            h("span", { class: "type-sign" }, typeIcon(item.type_code)),
            h(
              "span",
              { class: "grow" },
              h("b", {}, codeText("type", item.type_code)),
              h("small", { class: "muted" }, item.description),
            ),
            h("b", { class: "pay" }, yuan(item.pay_fen)),
          ),
          way(item),
          facts(item),
          h(
            "button",
            {
              type: "button",
              class: "button primary wide",
              disabled: !isOnDuty || busyId === item.order_id,
              onclick: () => onGrab(item),
            },
            t("hall.grab"),
          ),
        ),
      ),
      !hall.items.length && h("li", { class: "empty", key: "none" }, t("hall.none")),
    ),
  ];
}
