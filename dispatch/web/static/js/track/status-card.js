/** The live order: arrival as a range, four time-stamped steps, runner, code, price, and what the student may do. */

import { h } from "../dom.js";
import { clockTime, codeText, dayAndTime, duration, pick, t, yuan } from "../i18n.js";
import { icon, typeIcon } from "../icons.js";
import { now } from "../clock.js";
import { ask, toast, toastError } from "../shell.js";
import { photo } from "../photo.js";
import { choiceCard } from "./choice.js";

const LIVE = new Set(["open", "assigned", "carrying"]);
const CANCELLABLE = new Set(["awaiting_payment", "open", "assigned"]);
const CANCEL_REASONS = ["changed_mind", "mistake", "too_slow"];

export class StatusCard {
  /**
   * @param {object} parts
   * @param {import("../api.js").Api} parts.api
   * @param {import("./pay.js").PayCard} parts.payCard
   * @param {() => void} parts.paint
   * @param {(order: any) => void} parts.onOrder an answer brought a newer order
   * @param {() => void} parts.refetch
   */
  constructor({ api, payCard, paint, onOrder, refetch }) {
    Object.assign(this, { api, payCard, paint, onOrder, refetch });
    this.stars = 0;
    this.comment = "";
    this.isBusy = false;
  }

  async act(path, body) {
    if (this.isBusy) return false;
    this.isBusy = true;
    this.paint();
    try {
      this.onOrder(await this.api.post(path, body));
      return true;
    } catch (error) {
      toastError(error);
      if (error.status === 409) this.refetch();
      return false;
    } finally {
      this.isBusy = false;
      this.paint();
    }
  }

  /**
   * @param {import("../types.js").Order} order
   * @param {{positionAge: string | null, isStale: boolean, isConnected: boolean}} live
   */
  view(order, live) {
    const isUnpaid = order.status === "awaiting_payment";
    return [
      this.head(order, live),
      isUnpaid && this.payCard.view(order),
      !isUnpaid && order.status !== "cancelled" && order.status !== "closed" && steps(order),
      order.is_choice &&
        order.id !== this.waitsFor &&
        choiceCard(order, {
          isBusy: this.isBusy,
          onWait: () => ((this.waitsFor = order.id), this.paint()),
          onCancel: () => this.cancelFree(order),
        }),
      order.near && LIVE.has(order.status) && near(order.near),
      LIVE.has(order.status) && late(order),
      order.pin && LIVE.has(order.status) && pin(order.pin),
      order.runner && this.runner(order, live),
      order.status === "delivered" && this.received(order),
      ["delivered", "confirmed", "settled"].includes(order.status) && this.rating(order),
      this.details(order),
      CANCELLABLE.has(order.status) && this.cancelButton(order),
    ];
  }

  head(order, live) {
    return h(
      "header",
      { class: `status-head is-${order.status}`, key: "head" },
      h(
        "p",
        { class: "status-type" },
        typeIcon(order.type_code),
        codeText("type", order.type_code),
        h("span", { class: "code" }, order.code),
      ),
      h("h1", { class: "status-title", id: "status-title", tabindex: "-1", role: "status" }, title(order)),
      h("p", { class: "muted" }, this.subtitle(order, live)),
    );
  }

  subtitle(order, live) {
    if (!LIVE.has(order.status)) {
      if (order.cancel_reason) return codeText("reason", order.cancel_reason);
      const doneAt = order.steps.find((step) => step.step === "delivered")?.at_ms;
      return doneAt ? dayAndTime(doneAt) : dayAndTime(order.placed_at_ms);
    }
    const parts = [t("track.promised", { at: clockTime(order.promised_at_ms) })];
    if (!live.isConnected) parts.push(t("track.not_live"));
    else if (order.runner && live.positionAge) parts.push(live.positionAge);
    if (order.eta?.warnings.includes("off_route")) parts.push(t("track.off_route"));
    if (order.eta?.warnings.includes("low_confidence")) parts.push(t("track.low_confidence"));
    return parts.join(" · ");
  }

  runner(order, live) {
    const { name, vehicle, credit, stars, phone, has_badge: hasBadge } = order.runner;
    return h(
      "section",
      { class: "runner-panel card", key: "runner", "aria-label": t("track.runner") },
      h("span", { class: "avatar", "aria-hidden": "true" }, [...name][0]),
      h(
        "div",
        { class: "grow" },
        h("b", {}, name),
        hasBadge && h("span", { class: "pill is-delivered badge-good" }, icon("shield"), t("credit.badge")),
        h(
          "p",
          { class: "muted" },
          [stars ? `★ ${stars.toFixed(1)}` : null, t("runner.credit", { n: credit }), t(`vehicle.${vehicle}`)]
            .filter(Boolean)
            .join(" · "),
        ),
        live.isStale && h("p", { class: "muted small" }, icon("offline"), t("track.stale")),
      ),
      phone && h("span", { class: "phone" }, icon("phone"), phone),
    );
  }

  received(order) {
    return h(
      "section",
      { class: "card received", key: "received" },
      h("p", {}, t("track.received_hint")),
      order.photo_ids?.length > 0 &&
        h(
          "div",
          { class: "photos" },
          order.photo_ids.map((id) => photo(this.api, id)),
        ),
      h(
        "button",
        {
          type: "button",
          class: "button primary wide big",
          disabled: this.isBusy,
          onclick: async () =>
            (await this.act(`/orders/${order.id}/confirm`, { version: order.version })) &&
            toast(t("track.confirmed"), { kind: "good" }),
        },
        icon("check"),
        t("track.confirm"),
      ),
    );
  }

  rating(order) {
    if (order.rating) {
      return h(
        "section",
        { class: "card rating is-done", key: "rated" },
        h(
          "p",
          { class: "stars", role: "img", "aria-label": t("rating.given", { n: order.rating }) },
          [1, 2, 3, 4, 5].map((n) => icon("star", n <= order.rating ? "is-on" : "")),
        ),
        order.rating_text && h("p", { class: "muted" }, order.rating_text),
      );
    }
    return h(
      "form",
      {
        class: "card rating",
        key: "rating",
        onsubmit: async (event) => {
          event.preventDefault();
          if (await this.act(`/orders/${order.id}/rating`, { stars: this.stars, text: this.comment }))
            toast(t("rating.thanks"), { kind: "good" });
        },
      },
      h(
        "fieldset",
        { class: "stars" },
        h("legend", {}, t("rating.ask")),
        [1, 2, 3, 4, 5].map((n) =>
          h(
            "label",
            { key: n },
            h("input", {
              type: "radio",
              name: "stars",
              class: "sr-only",
              value: n,
              checked: this.stars === n,
              onchange: () => ((this.stars = n), this.paint()),
            }),
            icon("star", n <= this.stars ? "is-on" : ""),
            h("span", { class: "sr-only" }, t("rating.n", { n })),
          ),
        ),
      ),
      this.stars > 0 && [
        h("textarea", {
          class: "input",
          rows: 2,
          maxlength: 500,
          "aria-label": t("rating.comment"),
          placeholder: t("rating.comment"),
          value: this.comment,
          oninput: (event) => (this.comment = event.target.value),
        }),
        h("button", { class: "button primary wide", disabled: this.isBusy }, t("rating.send")),
      ],
    );
  }

  details(order) {
    const { quote } = order;
    const paid = order.captured_fen || null;
    return h(
      "section",
      { class: "card details", key: "details" },
      h(
        "ol",
        { class: "stops" },
        order.stops.map((stop) =>
          h(
            "li",
            { class: "stop" },
            h("span", { class: `stop-mark is-${stop.role}` }, t(`stop.short.${stop.role}`)),
            h("span", {}, stop.label, stop.detail && h("small", { class: "muted" }, ` · ${stop.detail}`)),
          ),
        ),
      ),
      h("p", { class: "description" }, order.description),
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
          order.goods_actual_fen !== null &&
            order.goods_actual_fen !== undefined &&
            h("tr", {}, h("th", { scope: "row" }, t("money.goods_actual")), h("td", {}, yuan(order.goods_actual_fen))),
          paid && h("tr", {}, h("th", { scope: "row" }, t("money.captured")), h("td", {}, yuan(paid))),
          order.released_fen > 0 &&
            h("tr", {}, h("th", { scope: "row" }, t("money.released")), h("td", {}, yuan(order.released_fen))),
        ),
      ),
      h("p", { class: "escrow" }, icon("shield"), escrow(order)),
    );
  }

  cancelButton(order) {
    const price = order.cancel_price_fen ?? 0;
    return h(
      "button",
      {
        type: "button",
        class: "button quiet danger wide",
        key: "cancel",
        disabled: this.isBusy,
        onclick: () => this.cancel(order),
      },
      price ? t("cancel.costs", { price: yuan(price) }) : t("cancel.free"),
    );
  }

  /** Nobody came: no reason is asked for. */
  cancelFree(order) {
    const reason = t("choice.title");
    this.act(`/orders/${order.id}/cancel`, { reason, version: order.version, expected_price_fen: 0 });
  }

  async cancel(order) {
    const price = order.cancel_price_fen ?? 0;
    const reason = await ask({
      title: t("cancel.title"),
      content: (close) =>
        h(
          "div",
          { class: "stack" },
          h(
            "p",
            {},
            price
              ? t("cancel.costs_text", {
                  price: yuan(price),
                  back: yuan((order.held_fen || order.quote.total_fen) - price),
                })
              : t("cancel.free_text"),
          ),
          CANCEL_REASONS.map((name) =>
            h(
              "button",
              { type: "button", class: "button danger wide", onclick: () => close(t(`cancel.reason.${name}`)) },
              t(`cancel.reason.${name}`),
            ),
          ),
          h("button", { type: "button", class: "button quiet wide", onclick: () => close(null) }, t("cancel.keep")),
        ),
    });
    if (reason)
      await this.act(`/orders/${order.id}/cancel`, { reason, version: order.version, expected_price_fen: price });
  }
}

/** The one sentence that matters now. */
function title(order) {
  if (order.status === "open") return t(order.is_late ? "track.still_looking" : "track.looking");
  if (LIVE.has(order.status) && order.eta) {
    return t("track.arrives", { from: clockTime(order.eta.from_ms), to: clockTime(order.eta.to_ms) });
  }
  return t(`track.title.${order.status}`);
}

/** Where the runner is, when it is somewhere that matters. */
function near({ role, state }) {
  return h(
    "p",
    { class: "note is-near", role: "status", key: "near" },
    icon("locate"),
    t(`track.near.${role}.${state}`),
  );
}

/** What was told of a delay, or that the promise is broken. */
function late(order) {
  if (!order.is_late && !order.delay) return null;
  const promised = clockTime(order.promised_at_ms);
  const text = order.delay
    ? [
        t(order.is_late ? "track.delay.broken" : "track.delay.foreseen", {
          promised,
          expected: clockTime(order.delay.expected_ms),
        }),
        order.runner ? t("track.delay.runner_knows") : "",
      ].join(" ")
    : t("track.late", { promised, late: duration((now() - order.promised_at_ms) / 1000) });
  return h("p", { class: "note is-late", role: "status", key: "late" }, icon("warning"), text);
}

function steps(order) {
  const reached = order.steps.filter((step) => step.at_ms !== null).length;
  return h(
    "ol",
    { class: "steps", key: "steps", "aria-label": t("track.steps") },
    order.steps.map((step, index) =>
      h(
        "li",
        {
          class: step.at_ms !== null ? "is-done" : index === reached ? "is-next" : "",
          "aria-current": index === reached - 1 ? "step" : null,
        },
        h("span", { class: "step-dot", "aria-hidden": "true" }, step.at_ms !== null && icon("check")),
        h("span", { class: "step-name" }, t(`step.${step.step}`)),
        h("time", {}, step.at_ms !== null ? clockTime(step.at_ms) : " "),
      ),
    ),
  );
}

function pin(code) {
  return h(
    "section",
    { class: "pin card", key: "pin" },
    h("p", {}, t("track.pin")),
    h(
      "p",
      { class: "pin-code", "aria-label": [...code].join(" ") },
      [...code].map((digit) => h("span", { "aria-hidden": "true" }, digit)),
    ),
  );
}

function escrow(order) {
  if (order.status === "settled") return t("escrow.settled");
  if (order.status === "cancelled") return t("escrow.releasing");
  if (order.status === "closed") return t("escrow.released");
  if (order.status === "awaiting_payment") return t("escrow.before");
  if (order.settle_at_ms) return t("escrow.until", { at: dayAndTime(order.settle_at_ms) });
  return t("escrow.held");
}
