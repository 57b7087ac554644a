/** Ordering in three steps: what and where, details and the itemised price, pay. */

import { ApiError, newKey } from "../api.js";
import { h } from "../dom.js";
import { clockTime, codeText, distance, pick, remember, read, t, weight, yuan } from "../i18n.js";
import { icon, typeIcon } from "../icons.js";
import { toast, toastError } from "../shell.js";
import { isQuotable, isSamePlace, quoteRequest, rememberPlace, saveDraft } from "./draft.js";
import { PlacePicker } from "./place-picker.js";

const WEIGHTS_G = [1000, 2000, 5000, 10_000, 20_000];
const WAITS_MIN = [10, 20, 30, 45, 60, 90];
const GOODS_FEN = [1000, 2000, 3000, 5000, 10_000, 20_000];
const QUOTE_AFTER_MS = 300;
const QUOTE_AGAIN_MS = 60_000;
const RETRY_MS = 15_000;
const NAME = "dispatch.contact";

export class OrderForm {
  /**
   * @param {object} parts
   * @param {import("../session.js").Session} parts.session
   * @param {() => void} parts.paint
   * @param {(order: any) => void} parts.onPlaced
   * @param {() => void} parts.onLeave
   */
  constructor({ session, paint, onPlaced, onLeave }) {
    Object.assign(this, { session, paint, onPlaced, onLeave, api: session.api });
    /** @type {import("./draft.js").Draft | null} */
    this.draft = null;
    this.quote = null;
    this.fault = null;
    this.isBusy = false;
    this.activeRole = null;
    this.channels = [];
    this.picker = new PlacePicker({ api: session.api, campusId: session.campus.id, paint });
    this.picker.loadQuick();
    addEventListener("online", () => this.draft?.isHeld && this.place());
    setInterval(() => this.draft?.isHeld && navigator.onLine && this.place(), RETRY_MS);
    setInterval(() => this.draft && this.draft.step > 1 && !this.draft.isHeld && this.askPrice(), QUOTE_AGAIN_MS);
  }

  get type() {
    return this.session.campus.types.find((type) => type.code === this.draft?.type);
  }

  /** @param {import("./draft.js").Draft} draft */
  begin(draft) {
    this.draft = draft;
    this.quote = null;
    this.fault = null;
    const [name, phone] = JSON.parse(read(NAME) ?? '["",""]');
    draft.contact_name ||= name || this.session.account.name;
    draft.contact_phone ||= phone;
    this.activeRole = this.type?.stops.find((role) => !draft.stops[role]) ?? null;
    if (!this.channels.length) {
      this.api.get("/channels").then((channels) => {
        this.channels = channels;
        if (this.draft) this.draft.channel ??= channels[0]?.code ?? null;
        this.paint();
      }, () => null);
    }
    this.change({});
  }

  change(part) {
    Object.assign(this.draft, part);
    saveDraft(this.draft);
    this.askPriceSoon();
    this.paint();
  }

  // --- places

  pickPlace(role, place) {
    this.draft.stops = { ...this.draft.stops, [role]: place };
    this.activeRole = this.type.stops.find((other) => !this.draft.stops[other]) ?? null;
    this.change({});
    if (this.activeRole) requestAnimationFrame(() => document.getElementById(`place-${this.activeRole}`)?.focus());
  }

  /** A tap on the map fills the field that waits. @param {{lat: number, lon: number}} point */
  tapMap(point, map) {
    const role = this.activeRole ?? this.type?.stops.at(-1);
    if (!this.draft || this.draft.step !== 1 || !role) return;
    if (!map.contains(point)) return void toast(t("order_form.outside"), { kind: "bad" });
    const label = map.nameAt(point) || t("order_form.map_point");
    this.pickPlace(role, { lat: point.lat, lon: point.lon, label });
  }

  // --- price

  askPriceSoon() {
    clearTimeout(this.timer);
    if (isQuotable(this.draft, this.type)) this.timer = setTimeout(() => this.askPrice(), QUOTE_AFTER_MS);
    else this.quote = this.fault = null;
  }

  async askPrice() {
    if (!this.draft || !isQuotable(this.draft, this.type)) return;
    const asked = JSON.stringify(quoteRequest(this.draft, this.type));
    try {
      const quote = await this.api.post("/quotes", JSON.parse(asked));
      if (!this.draft || JSON.stringify(quoteRequest(this.draft, this.type)) !== asked) return;
      this.quote = quote;
      this.fault = null;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.fault = error;
      if (!error.isOutage) this.quote = null;
    }
    this.paint();
  }

  // --- placing

  async place() {
    if (this.isBusy || !this.quote && !this.draft.isHeld) return;
    this.isBusy = true;
    this.fault = null;
    this.paint();
    const { draft, type } = this;
    // Held: the very same request again, since the server may have taken it and only its answer was lost.
    const body = draft.heldBody ?? {
      ...quoteRequest(draft, type), description: this.describe(), expected_total_fen: this.quote.total_fen,
      channel: draft.channel,
    };
    try {
      const order = await this.api.post("/orders", body, { key: draft.key });
      for (const role of type.stops) rememberPlace(draft.stops[role]);
      remember(NAME, JSON.stringify([draft.contact_name, draft.contact_phone]));
      this.draft = null;
      saveDraft(null);
      this.onPlaced(order);
    } catch (error) {
      this.failed(error, body);
    }
    this.isBusy = false;
    this.paint();
  }

  failed(error, body) {
    if (!(error instanceof ApiError)) throw error;
    if (error.isOutage) {
      Object.assign(this.draft, { isHeld: true, heldBody: body });
      saveDraft(this.draft);
      return;
    }
    this.fault = error;
    // What was refused and then changed is another request.
    this.release();
    toastError(error);
    this.askPriceSoon();
  }

  release() {
    Object.assign(this.draft, { isHeld: false, heldBody: null, key: newKey() });
    saveDraft(this.draft);
  }

  describe() {
    return this.draft.description.trim() || t(`type.${this.draft.type}`);
  }

  // --- painting

  view() {
    const { draft, type } = this;
    if (!type) return null;
    if (draft.isHeld) return this.held();
    return h("section", { class: "order-form", key: `form-${draft.step}`, "aria-label": t("order_form.title") },
      h("div", { class: "form-head" },
        h("button", { type: "button", class: "icon-button", "aria-label": t("nav.back"), onclick: () => this.goBack() }, icon("back")),
        h("h1", {}, typeIcon(type.code), pick(type, "name")),
        h("ol", { class: "progress", "aria-label": t("order_form.step", { n: draft.step }) }, [1, 2, 3].map((n) => h("li", {
          class: n < draft.step ? "is-done" : n === draft.step ? "is-now" : "", "aria-current": n === draft.step ? "step" : null,
        }, h("span", { class: "sr-only" }, t(`order_form.step_${n}`)))))),
      draft.step === 1 ? this.where() : draft.step === 2 ? this.details() : this.pay(),
      this.fault && !this.fault.isOutage && h("p", { class: "form-error", role: "alert" },
        codeText("error", this.fault.code, this.fault.message)));
  }

  goBack() {
    if (this.draft.step > 1) return this.change({ step: this.draft.step - 1 });
    this.draft = null;
    saveDraft(null);
    this.onLeave();
  }

  next(isReady, label = t("order_form.next")) {
    return h("button", {
      type: "button", class: "button primary wide big", disabled: !isReady, onclick: () => this.change({ step: this.draft.step + 1 }),
    }, label, icon("next"));
  }

  where() {
    const { draft, type } = this;
    return [
      type.stops.length ? h("div", { class: "places" }, type.stops.map((role) => this.picker.view({
        role, place: draft.stops[role] ?? null, isActive: this.activeRole === role,
        onPick: (place) => this.pickPlace(role, place),
        onFocus: () => this.activeRole !== role && ((this.activeRole = role), this.paint()),
      }))) : h("p", { class: "note" }, icon("info"), t("order_form.no_stops")),
      this.quote && h("p", { class: "peek" }, t("order_form.from_price", {
        price: yuan(this.quote.total_fen), d: distance(this.quote.distance_m), at: clockTime(this.quote.arrive_by_ms),
      })),
      isSamePlace(draft, type) && h("p", { class: "form-error", role: "alert" }, t("order_form.same_place")),
      this.next(isQuotable(draft, type)),
    ];
  }

  details() {
    const { draft, type } = this;
    const isReady = draft.description.trim().length >= 2 && Boolean(this.quote);
    return [
      h("label", { class: "field" }, h("span", {}, t("order_form.description")),
        h("textarea", {
          class: "input", rows: 2, maxlength: 500, value: draft.description, placeholder: t(`order_form.hint.${type.code}`),
          oninput: (event) => this.change({ description: event.target.value }),
        })),
      type.stops.length > 1 && this.choices("weight", WEIGHTS_G, draft.weight_g, (g) => t("order_form.up_to", { n: weight(g) }),
        (weight_g) => this.change({ weight_g })),
      type.is_timed && this.choices("wait", WAITS_MIN, draft.wait_min, (n) => t("unit.min", { n }), (wait_min) => this.change({ wait_min })),
      type.has_goods && this.choices("goods", GOODS_FEN, draft.goods_cap_fen, (fen) => `¥${fen / 100}`,
        (goods_cap_fen) => this.change({ goods_cap_fen })),
      type.stops.filter((role) => role !== "pickup").map((role) => this.door(role)),
      this.price(),
      this.next(isReady && (!type.has_goods || draft.goods_cap_fen > 0), isReady || !this.quote ? t("order_form.to_pay") : t("order_form.describe_first")),
    ];
  }

  choices(name, values, chosen, label, onChoose) {
    return h("fieldset", { class: "choices" }, h("legend", {}, t(`order_form.${name}`)),
      h("div", { class: "chips wrap" }, values.map((value) => h("button", {
        type: "button", class: "chip", "aria-pressed": String(value === chosen), onclick: () => onChoose(value),
      }, label(value)))));
  }

  door(role) {
    const { draft } = this;
    const door = draft.doors[role] ?? { floor: 0, detail: "" };
    const set = (part) => this.change({ doors: { ...draft.doors, [role]: { ...door, ...part } } });
    return h("div", { class: "door", key: `door-${role}` },
      h("div", { class: "field-row" },
        h("label", { class: "field narrow" }, h("span", {}, t("order_form.floor")),
          h("input", {
            class: "input", type: "number", inputmode: "numeric", min: -5, max: 80, value: door.floor ? String(door.floor) : "",
            oninput: (event) => set({ floor: Math.max(-5, Math.min(80, Math.trunc(Number(event.target.value)) || 0)) }),
          })),
        h("label", { class: "field grow" }, h("span", {}, t("order_form.detail")),
          h("input", {
            class: "input", maxlength: 200, value: door.detail, placeholder: t("order_form.detail_hint"),
            oninput: (event) => set({ detail: event.target.value }),
          }))),
      h("div", { class: "field-row" },
        h("label", { class: "field grow" }, h("span", {}, t("order_form.contact")),
          h("input", {
            class: "input", maxlength: 40, autocomplete: "name", value: draft.contact_name,
            oninput: (event) => this.change({ contact_name: event.target.value }),
          })),
        h("label", { class: "field grow" }, h("span", {}, t("order_form.phone")),
          h("input", {
            class: "input", type: "tel", autocomplete: "tel", maxlength: 15, value: draft.contact_phone, placeholder: t("order_form.phone_hint"),
            oninput: (event) => this.change({ contact_phone: event.target.value.replaceAll(/[^\d+]/g, "") }),
          }))),
      h("p", { class: "hint" }, icon("shield"), t("order_form.privacy")));
  }

  price() {
    const { quote } = this;
    if (!quote) return h("p", { class: "muted" }, this.fault?.isOutage ? t("order_form.no_price") : t("order_form.pricing"));
    return h("div", { class: "price card" },
      h("table", { class: "money" }, h("caption", { class: "sr-only" }, t("order_form.price")), h("tbody", {},
        quote.lines.map((line) => h("tr", {}, h("th", { scope: "row" }, pick(line, "label")), h("td", {}, yuan(line.amount_fen)))),
        h("tr", { class: "total" }, h("th", { scope: "row" }, t("money.total")), h("td", {}, yuan(quote.total_fen))))),
      h("p", { class: "promise" }, icon("clock"), h("span", {}, t("order_form.promise")),
        h("b", {}, `${clockTime(quote.arrive_from_ms)}–${clockTime(quote.arrive_by_ms)}`)));
  }

  pay() {
    const { draft, type, quote } = this;
    return [
      h("ol", { class: "stops card" }, type.stops.map((role) => h("li", { class: "stop" },
        h("span", { class: `stop-mark is-${role}` }, t(`stop.short.${role}`)),
        h("span", {}, [draft.stops[role].label, draft.doors[role]?.detail].filter(Boolean).join(" · ")))),
      h("li", { class: "stop" }, icon("text"), h("span", {}, this.describe()))),
      this.price(),
      h("fieldset", { class: "channels" }, h("legend", {}, t("pay.with")), this.channels.map((channel) => h("label", { class: "channel", key: channel.code },
        h("input", {
          type: "radio", name: "channel", value: channel.code, checked: draft.channel === channel.code,
          onchange: () => this.change({ channel: channel.code }),
        }), icon("wallet"), h("span", {}, pick(channel, "name")), channel.is_demo && h("small", { class: "pill" }, t("pay.demo"))))),
      h("p", { class: "note" }, icon("shield"), t("pay.escrow")),
      h("p", { class: "hint" }, icon("info"), t("pay.safety")),
      h("button", {
        type: "button", class: "button primary wide big", disabled: this.isBusy || !quote, onclick: () => this.place(),
      }, this.isBusy ? t("pay.placing") : t("pay.go", { price: quote ? yuan(quote.total_fen) : "" })),
    ];
  }

  held() {
    return h("section", { class: "held card", key: "held", role: "status" }, icon("offline", "large"),
      h("h1", {}, t("held.title")), h("p", {}, t("held.text")),
      h("button", { type: "button", class: "button primary wide", disabled: this.isBusy, onclick: () => this.place() }, t("held.now")),
      h("button", { type: "button", class: "button quiet wide", onclick: () => (this.release(), this.paint()) }, t("held.edit")));
  }
}
