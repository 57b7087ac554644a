/** What the three steps of an order look like; what they do is in `order-form.js`. */

import { h } from "../dom.js";
import { clockTime, distance, pick, t, volume, weight, yuan } from "../i18n.js";
import { icon } from "../icons.js";
import { againWith } from "./again.js";
import { assurances } from "./assurances.js";
import { bindButtons, unbindButtons } from "./bind.js";
import { couponChoice } from "./coupons.js";
import { isQuotable, isSamePlace } from "./draft.js";

/** @typedef {import("./order-form.js").OrderForm} OrderForm */

const WEIGHTS_G = [1000, 2000, 5000, 10_000, 20_000];
const VOLUMES_ML = [3000, 10_000, 30_000, 60_000];
const WAITS_MIN = [10, 20, 30, 45, 60, 90];
const GOODS_FEN = [1000, 2000, 3000, 5000, 10_000, 20_000];

function next(form, isReady, label = t("order_form.next")) {
  return h(
    "button",
    {
      type: "button",
      class: "button primary wide big",
      disabled: !isReady,
      onclick: () => form.change({ step: form.draft.step + 1 }),
    },
    label,
    icon("next"),
  );
}

/** Step 1: from where to where. */
export function where(form) {
  const { draft, type } = form;
  return [
    type.stops.length
      ? h(
          "div",
          { class: "places" },
          type.stops.map((role) =>
            form.picker.view({
              role,
              place: draft.stops[role] ?? null,
              isActive: form.activeRole === role,
              onPick: (place) => form.pickPlace(role, place),
              onFocus: () => form.activeRole !== role && ((form.activeRole = role), form.paint()),
            }),
          ),
        )
      : h("p", { class: "note" }, icon("info"), t("order_form.no_stops")),
    form.quote &&
      h(
        "p",
        { class: "peek" },
        t("order_form.from_price", {
          price: yuan(form.quote.total_fen),
          d: distance(form.quote.distance_m),
          at: clockTime(form.quote.arrive_by_ms),
        }),
      ),
    isSamePlace(draft, type) && h("p", { class: "form-error", role: "alert" }, t("order_form.same_place")),
    next(form, isQuotable(draft, type)),
  ];
}

/** Step 2: what exactly, and the itemised price. */
export function details(form) {
  const { draft, type } = form;
  const isReady = draft.description.trim().length >= 2 && Boolean(form.quote);
  return [
    h(
      "label",
      { class: "field" },
      h("span", {}, t("order_form.description")),
      h("textarea", {
        class: "input",
        rows: 2,
        maxlength: 500,
        value: draft.description,
        placeholder: t(`order_form.hint.${type.code}`),
        oninput: (event) => form.change({ description: event.target.value }),
      }),
    ),
    type.stops.length > 1 &&
      choices(
        form,
        "weight",
        WEIGHTS_G,
        draft.weight_g,
        (g) => t("order_form.up_to", { n: weight(g) }),
        (weight_g) => form.change({ weight_g }),
      ),
    type.stops.length > 1 &&
      choices(
        form,
        "volume",
        VOLUMES_ML,
        draft.volume_ml,
        (ml) => t("order_form.up_to", { n: volume(ml) }),
        (volume_ml) => form.change({ volume_ml }),
      ),
    type.is_timed &&
      choices(
        form,
        "wait",
        WAITS_MIN,
        draft.wait_min,
        (n) => t("unit.min", { n }),
        (wait_min) => form.change({ wait_min }),
      ),
    type.has_goods &&
      choices(
        form,
        "goods",
        GOODS_FEN,
        draft.goods_cap_fen,
        (fen) => `¥${fen / 100}`,
        (goods_cap_fen) => form.change({ goods_cap_fen }),
      ),
    type.stops.filter((role) => role !== "pickup").map((role) => door(form, role)),
    price(form),
    next(
      form,
      isReady && (!type.has_goods || draft.goods_cap_fen > 0),
      isReady || !form.quote ? t("order_form.to_pay") : t("order_form.describe_first"),
    ),
  ];
}

function choices(form, name, values, chosen, label, onChoose) {
  return h(
    "fieldset",
    { class: "choices" },
    h("legend", {}, t(`order_form.${name}`)),
    h(
      "div",
      { class: "chips wrap" },
      values.map((value) =>
        h(
          "button",
          {
            type: "button",
            class: "chip",
            "aria-pressed": String(value === chosen),
            onclick: () => onChoose(value),
          },
          label(value),
        ),
      ),
    ),
  );
}

function door(form, role) {
  const { draft } = form;
  const door = draft.doors[role] ?? { floor: 0, detail: "" };
  const set = (part) => form.change({ doors: { ...draft.doors, [role]: { ...door, ...part } } });
  return h(
    "div",
    { class: "door", key: `door-${role}` },
    h(
      "div",
      { class: "field-row" },
      h(
        "label",
        { class: "field narrow" },
        h("span", {}, t("order_form.floor")),
        h("input", {
          class: "input",
          type: "number",
          inputmode: "numeric",
          min: -5,
          max: 80,
          value: door.floor ? String(door.floor) : "",
          oninput: (event) => set({ floor: Math.max(-5, Math.min(80, Math.trunc(Number(event.target.value)) || 0)) }),
        }),
      ),
      h(
        "label",
        { class: "field grow" },
        h("span", {}, t("order_form.detail")),
        h("input", {
          class: "input",
          maxlength: 200,
          value: door.detail,
          placeholder: t("order_form.detail_hint"),
          oninput: (event) => set({ detail: event.target.value }),
        }),
      ),
    ),
    h(
      "div",
      { class: "field-row" },
      h(
        "label",
        { class: "field grow" },
        h("span", {}, t("order_form.contact")),
        h("input", {
          class: "input",
          maxlength: 40,
          autocomplete: "name",
          value: draft.contact_name,
          oninput: (event) => form.change({ contact_name: event.target.value }),
        }),
      ),
      h(
        "label",
        { class: "field grow" },
        h("span", {}, t("order_form.phone")),
        h("input", {
          class: "input",
          type: "tel",
          autocomplete: "tel",
          maxlength: 15,
          value: draft.contact_phone,
          placeholder: t("order_form.phone_hint"),
          oninput: (event) => form.change({ contact_phone: event.target.value.replaceAll(/[^\d+]/g, "") }),
        }),
      ),
    ),
    h("p", { class: "hint" }, icon("shield"), t("order_form.privacy")),
  );
}

function price(form) {
  const { quote } = form;
  if (!quote)
    return h("p", { class: "muted" }, form.fault?.isOutage ? t("order_form.no_price") : t("order_form.pricing"));
  return h(
    "div",
    { class: "price card" },
    h(
      "table",
      { class: "money" },
      h("caption", { class: "sr-only" }, t("order_form.price")),
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
      "p",
      { class: "promise" },
      icon("clock"),
      h("span", {}, t("order_form.promise")),
      h("b", {}, `${clockTime(quote.arrive_from_ms)}–${clockTime(quote.arrive_by_ms)}`),
    ),
  );
}

/** Step 3: look at it once more and pay. */
export function pay(form) {
  const { draft, type, quote } = form;
  return [
    h(
      "ol",
      { class: "stops card" },
      type.stops.map((role) =>
        h(
          "li",
          { class: "stop" },
          h("span", { class: `stop-mark is-${role}` }, t(`stop.short.${role}`)),
          h("span", {}, [draft.stops[role].label, draft.doors[role]?.detail].filter(Boolean).join(" · ")),
        ),
      ),
      h("li", { class: "stop" }, icon("list"), h("span", {}, form.describe())),
    ),
    price(form),
    couponChoice(form),
    againWith(form),
    h(
      "fieldset",
      { class: "channels" },
      h("legend", {}, t("pay.with")),
      form.channels.map((channel) =>
        h(
          "label",
          { class: "channel", key: channel.code },
          h("input", {
            type: "radio",
            name: "channel",
            value: channel.code,
            checked: draft.channel === channel.code,
            onchange: () => form.change({ channel: channel.code }),
          }),
          icon("wallet"),
          h("span", {}, pick(channel, "name")),
          channel.is_demo && h("small", { class: "pill" }, t("pay.demo")),
        ),
      ),
      bindButtons(form.unbound, { isBusy: form.isBusy, onBind: (channel) => form.bind(channel) }),
      unbindButtons(form.channels, { isBusy: form.isBusy, onUnbind: (channel) => form.unbind(channel) }),
    ),
    h("p", { class: "note" }, icon("shield"), t("pay.escrow")),
    assurances(
      form.session.campus,
      type.stops.map((role) => draft.stops[role]?.place_id),
    ),
    h("p", { class: "hint" }, icon("info"), t("pay.safety")),
    h(
      "button",
      {
        type: "button",
        class: "button primary wide big",
        disabled: form.isBusy || !quote,
        onclick: () => form.place(),
      },
      form.isBusy ? t("pay.placing") : t("pay.go", { price: quote ? yuan(quote.total_fen) : "" }),
    ),
  ];
}

/** The server could not be reached: the order waits on the device. */
export function held(form) {
  return h(
    "section",
    { class: "held card", key: "held", role: "status" },
    icon("offline", "large"),
    h("h1", {}, t("held.title")),
    h("p", {}, t("held.text")),
    h(
      "button",
      { type: "button", class: "button primary wide", disabled: form.isBusy, onclick: () => form.place() },
      t("held.now"),
    ),
    h(
      "button",
      { type: "button", class: "button quiet wide", onclick: () => (form.release(), form.paint()) },
      t("held.edit"),
    ),
  );
}
