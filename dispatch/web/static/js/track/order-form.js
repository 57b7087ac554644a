/** Ordering in three steps: what and where, details and the itemised price, pay. */

import { ApiError, newKey } from "../api.js";
import { h } from "../dom.js";
import { codeText, pick, read, remember, t } from "../i18n.js";
import { icon, typeIcon } from "../icons.js";
import { toast, toastError } from "../shell.js";
import { bindChannel, ready, unbindChannel } from "./bind.js";
import { couponFor } from "./coupons.js";
import { isQuotable, quoteRequest, rememberPlace, saveDraft } from "./draft.js";
import { details, held, pay, where } from "./order-steps.js";
import { PlacePicker } from "./place-picker.js";

const USUAL_GOODS_FEN = 3000;
const QUOTE_AFTER_MS = 300;
const QUOTE_AGAIN_MS = 60_000;
const RETRY_MS = 15_000;
const NAME = "dispatch.contact";
const CHANNEL = "dispatch.channel";

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
    /** Ways to pay that have to know more of the student first. @type {import("./bind.js").Channel[]} */
    this.unbound = [];
    /** Runners who carried for the student before. @type {any[]} */
    this.known = [];
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
    if (this.type?.has_goods) draft.goods_cap_fen ||= USUAL_GOODS_FEN;
    this.activeRole = this.type?.stops.find((role) => !draft.stops[role]) ?? null;
    this.api.get("/me/runners").then(
      ({ runners }) => {
        this.known = runners;
        this.paint();
      },
      () => null,
    );
    this.loadChannels();
    this.change({});
  }

  loadChannels() {
    this.api.get("/channels").then(
      (all) => {
        const channels = ready(all);
        this.unbound = all.filter((channel) => !channels.includes(channel));
        const known = channels.find(({ code }) => code === (this.draft?.channel ?? read(CHANNEL)));
        // The one that was paid with last comes first; one that is in trouble is not there to be chosen.
        this.channels = known ? [known, ...channels.filter((each) => each !== known)] : channels;
        if (this.draft) this.draft.channel = this.channels[0]?.code ?? null;
        this.paint();
      },
      () => null,
    );
  }

  async bind(channel) {
    if (!(await bindChannel(this.api, channel))) return;
    if (this.draft) this.draft.channel = channel.code;
    this.loadChannels();
  }

  async unbind(channel) {
    if (await unbindChannel(this.api, channel)) this.loadChannels();
  }

  /** Who is asked first, if the student still knows them. */
  get wish() {
    return this.known.find((one) => one.id === this.draft.wish_runner_id)?.id ?? null;
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
      const coupon = couponFor(this.draft, quote.coupons);
      if (coupon !== this.draft.coupon_id) this.change({ coupon_id: coupon });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.code === "coupon_gone" && this.draft) return this.change({ coupon_id: null });
      this.fault = error;
      if (!error.isOutage) this.quote = null;
    }
    this.paint();
  }

  // --- placing

  async place() {
    if (this.isBusy || (!this.quote && !this.draft.isHeld)) return;
    this.isBusy = true;
    this.fault = null;
    this.paint();
    const { draft, type } = this;
    // Held: the very same request again, since the server may have taken it and only its answer was lost.
    const body = draft.heldBody ?? {
      ...quoteRequest(draft, type),
      coupon_id: this.quote.coupon_id,
      description: this.describe(),
      expected_total_fen: this.quote.total_fen,
      channel: draft.channel,
      ...(this.wish ? { wish_runner_id: this.wish } : {}),
    };
    try {
      const order = await this.api.post("/orders", body, { key: draft.key });
      for (const role of type.stops) rememberPlace(draft.stops[role]);
      remember(NAME, JSON.stringify([draft.contact_name, draft.contact_phone]));
      remember(CHANNEL, draft.channel);
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
    if (error.code === "coupon_gone") this.draft.coupon_id = null;
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
    if (draft.isHeld) return held(this);
    return h(
      "section",
      { class: "order-form", key: `form-${draft.step}`, "aria-label": t("order_form.title") },
      h(
        "div",
        { class: "form-head" },
        h(
          "button",
          { type: "button", class: "icon-button", "aria-label": t("nav.back"), onclick: () => this.goBack() },
          icon("back"),
        ),
        h("h1", {}, typeIcon(type.code), pick(type, "name")),
        h(
          "ol",
          { class: "progress", "aria-label": t("order_form.step", { n: draft.step }) },
          [1, 2, 3].map((n) =>
            h(
              "li",
              {
                class: n < draft.step ? "is-done" : n === draft.step ? "is-now" : "",
                "aria-current": n === draft.step ? "step" : null,
              },
              h("span", { class: "sr-only" }, t(`order_form.step_${n}`)),
            ),
          ),
        ),
      ),
      draft.step === 1 ? where(this) : draft.step === 2 ? details(this) : pay(this),
      this.fault &&
        !this.fault.isOutage &&
        h("p", { class: "form-error", role: "alert" }, codeText("error", this.fault.code, this.fault.message)),
    );
  }

  goBack() {
    if (this.draft.step > 1) return this.change({ step: this.draft.step - 1 });
    this.draft = null;
    saveDraft(null);
    this.onLeave();
  }
}
