/** The order being carried and the one thing to do next; steps that the server would refuse are not offered. */

import { h } from "../dom.js";
import { now } from "../clock.js";
import { clockTime, codeText, countdown, t, yuan } from "../i18n.js";
import { icon, typeIcon } from "../icons.js";
import { photo, shrink } from "../photo.js";

/** @typedef {"arrived_pickup" | "arrived_place" | "picked_up" | "arrived_dropoff" | "delivered" | null} Next */

/** @returns {Next} */
export function nextStep(order) {
  const roles = order.stops.map((stop) => stop.role);
  const status = order.task_status;
  if (status === "done" || !["assigned", "carrying"].includes(order.status)) return null;
  if (!roles.includes("pickup")) {
    if (status === "assigned" && roles.includes("place")) return "arrived_place";
    return "delivered";
  }
  return (
    { assigned: "arrived_pickup", at_pickup: "picked_up", carrying: "arrived_dropoff", at_dropoff: "delivered" }[
      status
    ] ?? null
  );
}

/** The stop that the next step is about: where to walk. */
export function nextStop(order) {
  const step = nextStep(order);
  const role = {
    arrived_pickup: "pickup",
    picked_up: "pickup",
    arrived_dropoff: "dropoff",
    delivered: "dropoff",
    arrived_place: "place",
  }[step];
  return order.stops.find((stop) => stop.role === role) ?? order.stops.at(-1) ?? null;
}

/** Whether the server sees the runner at the stop that they have not confirmed yet. @param {any} order @param {Next} step */
export function isAskedHere(order, step) {
  const { near } = order;
  return Boolean(near && near.state === "there" && !near.is_confirmed && step === `arrived_${near.role}`);
}

export class TaskCard {
  /** @param {{api: import("../api.js").Api, queue: import("./action-queue.js").ActionQueue, where: () => any, paint: () => void, onError: (error: any) => void}} parts */
  constructor({ api, queue, where, paint, onError }) {
    Object.assign(this, { api, queue, where, paint, onError });
    this.pin = "";
    this.goods = "";
    this.photoId = null;
    this.isUploading = false;
  }

  reset() {
    Object.assign(this, { pin: "", goods: "", photoId: null });
  }

  /** @param {any} order @param {Next} step */
  press(order, step) {
    const here = this.where();
    const tap = { tapped_at_ms: now(), lat: here?.lat ?? null, lon: here?.lon ?? null, accuracy_m: here?.acc ?? null };
    if (step === "picked_up") {
      const goods =
        order.quote.goods_cap_fen > 0 ? { goods_actual_fen: Math.round(Number(this.goods || "0") * 100) } : {};
      this.queue.push(order, "picked-up", { ...tap, ...goods });
    } else if (step === "delivered") {
      const proof = this.photoId ? { photo_id: this.photoId } : { pin: this.pin };
      this.queue.push(order, "delivered", { ...tap, ...proof });
    } else {
      this.queue.push(order, "arrived", tap);
    }
    this.reset();
    this.paint();
  }

  async takePhoto(order, file) {
    this.isUploading = true;
    this.paint();
    try {
      this.photoId = (await this.api.upload(`/orders/${order.id}/photos`, await shrink(file))).id;
    } catch (error) {
      this.onError(error);
    }
    this.isUploading = false;
    this.paint();
  }

  /** @param {any} order as projected */
  view(order) {
    // What was typed for one errand proves nothing about another.
    if (this.orderId !== order.id) this.reset();
    this.orderId = order.id;
    const step = nextStep(order);
    const stop = nextStop(order);
    const left = (order.promised_at_ms - now()) / 1000;
    const isHere = isAskedHere(order, step);
    return h(
      "section",
      { class: "task card", key: `task-${order.id}`, "aria-label": `${t(`type.${order.type_code}`)} ${order.code}` },
      h(
        "div",
        { class: "task-head" },
        h("span", { class: "type-sign" }, typeIcon(order.type_code)),
        h(
          "div",
          { class: "grow" },
          h("b", {}, codeText("type", order.type_code), " ", h("span", { class: "code" }, order.code)),
          h("p", { class: "muted" }, t("offer.by", { at: clockTime(order.promised_at_ms) })),
        ),
        h("span", { class: `slack ${left < 0 ? "is-late" : ""}` }, h("b", {}, countdown(left))),
      ),
      stop &&
        h(
          "div",
          { class: `go-to is-${stop.role}` },
          h("span", { class: `stop-mark is-${stop.role}` }, t(`stop.short.${stop.role}`)),
          h(
            "div",
            { class: "grow" },
            h("p", { class: "muted" }, t(`task.go.${step ?? "done"}`)),
            h("h1", {}, stop.label),
            h(
              "p",
              {},
              [stop.floor ? t("stop.floor", { n: stop.floor }) : "", stop.detail, stop.contact_name]
                .filter(Boolean)
                .join(" · "),
            ),
          ),
          stop.contact_phone &&
            h(
              "a",
              { class: "button quiet", href: `tel:${stop.contact_phone}`, "aria-label": t("task.call") },
              icon("phone"),
            ),
        ),
      h("p", { class: "description" }, order.description),
      order.delay &&
        h(
          "p",
          { class: "note is-late", role: "status", key: "delay" },
          icon("clock"),
          t("task.delay", {
            promised: clockTime(order.promised_at_ms),
            expected: clockTime(order.delay.expected_ms),
          }),
        ),
      isHere &&
        h("p", { class: "note", role: "status", key: "here" }, icon("locate"), t("task.here", { place: stop.label })),
      this.form(order, step),
      step &&
        h(
          "button",
          {
            type: "button",
            class: `button primary wide huge ${isHere ? "is-asked" : ""}`,
            id: "next-step",
            disabled: !this.isReady(order, step),
            onclick: () => this.press(order, step),
          },
          t(`task.do.${step}`),
        ),
      !step && h("p", { class: "note", role: "status" }, icon("check"), t("task.sending")),
    );
  }

  isReady(order, step) {
    if (step === "picked_up" && order.quote.goods_cap_fen > 0) {
      const fen = Math.round(Number(this.goods) * 100);
      return this.goods !== "" && fen >= 0 && fen <= order.quote.goods_cap_fen;
    }
    if (step === "delivered") return /^\d{4}$/.test(this.pin) || Boolean(this.photoId);
    return true;
  }

  form(order, step) {
    if (step === "picked_up" && order.quote.goods_cap_fen > 0) {
      return h(
        "label",
        { class: "field" },
        h("span", {}, t("task.receipt", { max: yuan(order.quote.goods_cap_fen) })),
        h("input", {
          class: "input",
          type: "number",
          min: 0,
          max: order.quote.goods_cap_fen / 100,
          step: "0.01",
          inputmode: "decimal",
          value: this.goods,
          oninput: (event) => ((this.goods = event.target.value), this.paint()),
        }),
      );
    }
    if (step !== "delivered") return null;
    return h(
      "div",
      { class: "proof" },
      h(
        "label",
        { class: "field" },
        h("span", {}, t("task.pin")),
        h("input", {
          class: "input pin-input",
          id: "pin",
          inputmode: "numeric",
          autocomplete: "off",
          maxlength: 4,
          pattern: "[0-9]{4}",
          value: this.pin,
          oninput: (event) => ((this.pin = event.target.value.replaceAll(/\D/g, "").slice(0, 4)), this.paint()),
        }),
      ),
      h(
        "label",
        { class: "button quiet wide photo-button" },
        icon("camera"),
        t(this.photoId ? "task.photo_taken" : this.isUploading ? "task.uploading" : "task.photo"),
        h("input", {
          class: "sr-only",
          type: "file",
          accept: "image/jpeg,image/png,image/webp",
          capture: "environment",
          onchange: (event) => event.target.files[0] && this.takePhoto(order, event.target.files[0]),
        }),
      ),
      this.photoId && photo(this.api, this.photoId),
    );
  }
}
