/** A plan of everything that waits, looked at before anybody hears of it: previewed, changed, and then committed. */

import { now, timeScale } from "../clock.js";
import { coalesce, h, render } from "../dom.js";
import { clockTime, codeText, distance, duration, onLanguage, t } from "../i18n.js";
import { icon } from "../icons.js";
import { toast, toastError } from "../shell.js";
import { PlanLayer } from "./plan-layer.js";

const PRESETS = ["balanced", "fastest", "fewest_km"];
const ACTS = ["offer", "force"];
/** Real seconds after which a preview is told to be old. */
const OLD_S = 60;
const WAITING_SHOWN = 20;

export class PlanPreview {
  /**
   * @param {{element: HTMLElement, map: import("../map.js").CampusMap, api: import("../api.js").Api,
   *   board: import("./board.js").Board, onOrder: (orderId: string) => void, onChange: () => void}} parts
   */
  constructor({ element, map, api, board, onOrder, onChange }) {
    Object.assign(this, { element, map, api, board, onOrder, onChange });
    this.layer = new PlanLayer(map);
    this.preset = "balanced";
    this.act = "offer";
    this.reason = "";
    this.forget();
    this.paint = coalesce(() => this.paintNow());
    onLanguage(() => this.paint());
    setInterval(() => this.isOpen && this.paint(), 5000);
  }

  forget() {
    /** @type {any} PlanPreview of the server */
    this.plan = null;
    /** Orders that are left out. @type {Set<string>} */
    this.off = new Set();
    /** By order id, what became of it. @type {Map<string, any>} */
    this.results = new Map();
    this.chosenId = null;
    this.isBusy = false;
  }

  get isOpen() {
    return !this.element.hidden;
  }

  /** @param {() => void} before */
  button(before) {
    const label = t("plan.open");
    return h(
      "button",
      {
        type: "button",
        class: "icon-button",
        id: "plan-open",
        "aria-label": label,
        title: label,
        "aria-pressed": String(this.isOpen),
        onclick: () => (before(), this.toggle()),
      },
      icon("bolt"),
    );
  }

  toggle() {
    this.element.hidden = this.isOpen;
    if (this.isOpen) this.preview();
    else {
      this.forget();
      this.layer.clear();
    }
    this.paint();
    this.onChange();
  }

  /** Escape: whether there was something to close. */
  escape() {
    if (!this.isOpen) return false;
    this.toggle();
    return true;
  }

  // --- acting

  async preview() {
    if (this.isBusy) return;
    this.isBusy = true;
    this.paint();
    try {
      const plan = await this.api.post("/plan-previews", { preset: this.preset, without: [...this.off] });
      if (!this.isOpen) return;
      this.plan = plan;
      this.results = new Map();
      this.frame();
    } catch (error) {
      toastError(error);
    } finally {
      this.isBusy = false;
      this.paint();
    }
  }

  frame() {
    const points = this.plan.routes.flatMap((route) => [
      { lat: route.start[0], lon: route.start[1] },
      ...route.stops.map(({ lat, lon }) => ({ lat, lon })),
    ]);
    if (points.length) this.map.fitPoints(points, { room: 0.05 });
  }

  async commit() {
    if (this.isBusy || !this.reason) return;
    const orders = this.ticked().map((pair) => pair.order_id);
    if (!orders.length) return;
    this.isBusy = true;
    this.paint();
    try {
      const body = { preview_id: this.plan.id, order_ids: orders, act: this.act, reason: this.reason };
      const said = await this.api.post("/plan-commits", body);
      this.results = new Map(said.results.map((one) => [one.order_id, one]));
      const isGood = said.done === said.results.length;
      toast(t("plan.done", { n: said.done, all: said.results.length }), { kind: isGood ? "good" : "bad" });
      this.board.reload();
    } catch (error) {
      if (error.field === "preview_id") toast(t("plan.expired"), { kind: "bad" });
      else toastError(error);
    }
    this.isBusy = false;
    this.paint();
  }

  tick(orderId, isOn) {
    if (isOn) this.off.delete(orderId);
    else this.off.add(orderId);
    this.paint();
  }

  ticked() {
    return (this.plan?.pairs ?? []).filter((pair) => !this.off.has(pair.order_id));
  }

  choose(runnerId) {
    this.chosenId = this.chosenId === runnerId ? null : runnerId;
    this.paint();
  }

  // --- painting

  paintNow() {
    if (!this.isOpen) return;
    if (this.plan) {
      const isOff = (orderId) => this.off.has(orderId);
      const onPick = (id) => this.choose(id);
      this.layer.show(this.plan.routes, { isOff, chosenId: this.chosenId, onPick });
    }
    render(
      this.element,
      h(
        "div",
        { class: "panel-head" },
        h("h2", {}, t("plan.title")),
        h(
          "button",
          { type: "button", class: "icon-button", "aria-label": t("nav.close"), onclick: () => this.toggle() },
          icon("close"),
        ),
      ),
      h("p", { class: "muted small" }, t("plan.lead")),
      this.presets(),
      this.isBusy && h("p", { class: "muted", role: "status" }, t("plan.thinking")),
      this.plan && this.figures(),
      this.plan && this.pairs(),
      this.plan && this.waiting(),
      this.plan?.pairs.length > 0 && this.commitForm(),
    );
  }

  presets() {
    return h(
      "div",
      { class: "plan-presets" },
      h(
        "div",
        { class: "chips", role: "group", "aria-label": t("plan.preset") },
        PRESETS.map((preset) =>
          h(
            "button",
            {
              type: "button",
              class: "chip",
              key: preset,
              "data-preset": preset,
              "aria-pressed": String(this.preset === preset),
              onclick: () => ((this.preset = preset), this.preview()),
            },
            t(`plan.preset.${preset}`),
          ),
        ),
      ),
      h(
        "button",
        { type: "button", class: "button small", id: "plan-again", disabled: this.isBusy, onclick: () => this.preview() },
        t(this.plan ? "plan.again" : "plan.preview"),
      ),
    );
  }

  figures() {
    const { plan } = this;
    if (!plan.pairs.length) return h("p", { class: "muted" }, t("plan.nothing"));
    const oldS = (now() - plan.at_ms) / 1000 / timeScale();
    const words = {
      n: plan.pairs.length,
      wait: duration(plan.mean_wait_s),
      way: distance(plan.new_m),
      late: plan.late,
    };
    return [
      h("p", { class: "plan-figures", role: "status", "data-preset": plan.preset }, t("plan.figures", words)),
      oldS > OLD_S && !this.results.size
        ? h("p", { class: "note is-waiting", key: "old" }, icon("clock"), t("plan.old", { age: duration(oldS) }))
        : h("p", { class: "muted small", key: "new" }, t("plan.as_of", { at: clockTime(plan.at_ms, true) })),
      plan.left_out > 0 && h("p", { class: "muted small" }, t("plan.left_out", { n: plan.left_out })),
    ];
  }

  pairs() {
    const routes = this.plan.routes.map((route, index) => ({ ...route, tone: `tone-${index % 8}` }));
    return h(
      "div",
      { class: "plan-pairs", key: "pairs" },
      routes
        .sort((a, b) => (a.runner_name < b.runner_name ? -1 : 1))
        .map((route) => {
          const mine = this.plan.pairs.filter((pair) => pair.runner_id === route.runner_id);
          return h(
            "section",
            { key: route.runner_id, class: `plan-runner ${this.chosenId === route.runner_id ? "is-chosen" : ""}` },
            h(
              "button",
              { type: "button", class: "runner-name", onclick: () => this.choose(route.runner_id) },
              h("span", { class: `plan-tone ${route.tone}` }),
              h("b", {}, route.runner_name),
            ),
            h(
              "ul",
              {},
              mine.map((pair) => this.pair(pair)),
            ),
          );
        }),
    );
  }

  pair(pair) {
    const result = this.results.get(pair.order_id);
    const isOn = !this.off.has(pair.order_id);
    return h(
      "li",
      { key: pair.order_id, class: `plan-pair ${isOn ? "" : "is-off"}`, "data-order": pair.order_id },
      h(
        "label",
        { class: "plan-tick" },
        h("input", {
          type: "checkbox",
          checked: isOn,
          disabled: this.results.size > 0,
          "aria-label": pair.code,
          onchange: (event) => this.tick(pair.order_id, event.target.checked),
        }),
      ),
      h("button", { type: "button", class: "code-chip", onclick: () => this.onOrder(pair.order_id) }, pair.code),
      h(
        "span",
        { class: "grow small" },
        t("plan.pair", { at: clockTime(pair.leave_at_ms), done: clockTime(pair.done_at_ms) }),
        pair.late_s > 0 && h("span", { class: "verdict is-late" }, ` · ${t("moves.late", { age: duration(pair.late_s) })}`),
      ),
      result && outcome(result),
    );
  }

  waiting() {
    const { waiting } = this.plan;
    const off = [...this.off].filter((id) => !this.plan.pairs.some((pair) => pair.order_id === id));
    if (!waiting.length && !off.length) return null;
    return h(
      "details",
      { class: "plan-waiting", key: "waiting", open: waiting.length + off.length <= 4 },
      h("summary", {}, t("plan.waiting", { n: waiting.length + off.length })),
      h(
        "ul",
        {},
        off.map((id) =>
          h(
            "li",
            { key: id, class: "plan-pair is-off", "data-order": id },
            h(
              "label",
              { class: "plan-tick" },
              h("input", {
                type: "checkbox",
                checked: false,
                "aria-label": this.codeOf(id),
                onchange: () => (this.off.delete(id), this.preview()),
              }),
            ),
            h("span", { class: "code" }, this.codeOf(id)),
            h("span", { class: "muted small" }, t("plan.unticked")),
          ),
        ),
        waiting
          .slice(0, WAITING_SHOWN)
          .map((one) =>
            h(
              "li",
              { key: one.order_id, class: "plan-pair" },
              h("span", { class: "code" }, this.codeOf(one.order_id)),
              h("span", { class: "muted small" }, codeText("waiting", one.reason)),
            ),
          ),
      ),
    );
  }

  codeOf(orderId) {
    return this.board.orders.get(orderId)?.code ?? orderId.slice(-6);
  }

  commitForm() {
    const count = this.ticked().length;
    return h(
      "form",
      { class: "plan-commit", key: "commit", onsubmit: (event) => (event.preventDefault(), this.commit()) },
      h(
        "fieldset",
        { class: "plan-acts" },
        h("legend", { class: "sr-only" }, t("plan.act")),
        ACTS.map((act) =>
          h(
            "label",
            { class: "chip", key: act },
            h("input", {
              type: "radio",
              name: "act",
              value: act,
              checked: this.act === act,
              onchange: () => ((this.act = act), this.paint()),
            }),
            h("span", {}, t(`plan.act.${act}`)),
          ),
        ),
      ),
      this.act === "force" && h("p", { class: "note is-waiting" }, icon("warning"), t("plan.act.force_hint")),
      h("input", {
        class: "input",
        name: "reason",
        required: true,
        maxlength: 200,
        "aria-label": t("plan.reason"),
        placeholder: t("plan.reason"),
        value: this.reason,
        oninput: (event) => ((this.reason = event.target.value.trim()), this.paint()),
      }),
      h(
        "button",
        {
          class: "button primary wide",
          id: "plan-commit",
          disabled: this.isBusy || !this.reason || !count || this.results.size > 0,
        },
        icon("check"),
        t("plan.commit", { n: count }),
      ),
    );
  }
}

/** What became of a pair, in words. */
function outcome(result) {
  if (!result.refusal) return h("span", { class: "verdict is-done" }, icon("check"), t("plan.result.done"));
  const general = codeText("error", result.refusal, result.message);
  return h(
    "span",
    { class: "verdict is-late", "data-refusal": result.refusal },
    icon("warning"),
    result.field ? codeText("plan.refused", result.field, general) : general,
  );
}
