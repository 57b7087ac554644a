/** Force an order onto a runner: the cost before it is done, a reason, the version checked, ten seconds to undo. */

import { h } from "../dom.js";
import { now, timeScale } from "../clock.js";
import { clockTime, codeText, distance, duration, t } from "../i18n.js";
import { icon } from "../icons.js";
import { ask, toast, toastError } from "../shell.js";
import { movesList, movesOf, movesSummary, seenOf } from "./moves.js";

export const REASONS = ["runner_unreachable", "runner_asked", "student_asked", "too_late", "accident", "other"];
/** The planner's free hand instead of a runner. */
const NOBODY = "";
const UNDO_S = 10;

export class Reassigner {
  /** @param {{api: import("../api.js").Api, board: import("./board.js").Board, paint: () => void}} parts */
  constructor({ api, board, paint }) {
    Object.assign(this, { api, board, paint });
    /** Options by order id, fetched when a hand reaches for the order. @type {Map<string, any>} */
    this.options = new Map();
    /** By order id the request that was made last: the only one whose answer counts. @type {Map<string, object>} */
    this.turns = new Map();
    this.isBusy = false;
    /** The open form. @type {{orderId: string, runnerId: string | null, reason: string, note: string} | null} */
    this.form = null;
    this.undoable = null;
  }

  /** @param {string} orderId @param {string | null} [runnerId] already picked, as by a drop */
  async open(orderId, runnerId = null) {
    this.form = { orderId, runnerId, reason: "", note: "" };
    this.paint();
    await this.fetchOptions(orderId, runnerId);
  }

  close() {
    this.form = null;
    this.paint();
  }

  /** @param {string} orderId @param {string | null} [runnerId] weighed however far away */
  async fetchOptions(orderId, runnerId = null) {
    // Asked when a drag begins and again when it ends: a first answer that comes late must not replace the second.
    const turn = {};
    this.turns.set(orderId, turn);
    try {
      const query = runnerId ? { runner_id: runnerId } : {};
      const found = await this.api.get(`/orders/${orderId}/reassign-options`, query);
      if (this.turns.get(orderId) !== turn) return;
      this.options.set(orderId, found);
    } catch (error) {
      if (this.turns.get(orderId) !== turn) return;
      this.options.delete(orderId);
      toastError(error);
      if (this.form?.orderId === orderId) this.form = null;
    }
    this.paint();
  }

  optionOf(orderId, runnerId) {
    return this.options.get(orderId)?.options.find((option) => option.runner_id === runnerId) ?? null;
  }

  /** What it would cost, in one line: shown while the order hangs over a runner. */
  costLine(orderId, runnerId) {
    const name = this.board.runners.get(runnerId)?.name ?? "";
    const option = this.optionOf(orderId, runnerId);
    if (!option) return name;
    if (option.is_current) return `${name}: ${t("reassign.current")}`;
    if (option.excluded) return `${name}: ${codeText("excluded", option.excluded)}`;
    return `${name}: ${cost(option)} · ${t("reassign.load", { a: option.load_before, b: option.load_before + 1 })}`;
  }

  async confirm() {
    const { orderId, runnerId, reason, note } = this.form;
    const order = this.board.orders.get(orderId);
    if (!reason || runnerId === null || this.isBusy) return;
    this.isBusy = true;
    this.paint();
    try {
      const view = this.options.get(orderId);
      const body = {
        runner_id: runnerId === NOBODY ? null : runnerId,
        version: view?.version ?? order.version,
        reason,
        note,
        seen: view ? seenOf(movesOf(view, this.optionOf(orderId, runnerId))) : null,
      };
      const changed = await this.api.post(`/orders/${orderId}/reassign`, body);
      this.board.put(changed);
      this.form = null;
      this.offerUndo(changed);
      this.options.delete(orderId);
    } catch (error) {
      this.options.delete(orderId);
      await this.explain(orderId, error);
    }
    this.isBusy = false;
    this.paint();
  }

  /** Somebody was faster: fetch what is true now and say who it was. */
  async explain(orderId, error) {
    if (error.status !== 409) return toastError(error);
    await this.board.refetch(orderId);
    if (error.field === "seen") {
      // Nobody touched this order; the others that it moves are not where they were.
      toast(t("moves.changed"), { kind: "bad", seconds: 10 });
      if (this.form) await this.fetchOptions(orderId, this.form.runnerId);
      return;
    }
    const timeline = await this.api.get(`/orders/${orderId}/timeline`).catch(() => null);
    const last = timeline?.events.at(-1);
    const who = last?.actor || t("reassign.somebody");
    toast(t("reassign.conflict", { who, what: last ? codeText("event", last.kind) : "" }), {
      kind: "bad",
      seconds: 10,
    });
    if (this.form) await this.fetchOptions(orderId);
  }

  offerUndo(order) {
    const realLeftS = order.undo_until_ms ? (order.undo_until_ms - now()) / 1000 / timeScale() : UNDO_S;
    const seconds = Math.max(3, Math.min(UNDO_S, realLeftS));
    const undo = async () => {
      this.undoable = null;
      try {
        this.board.put(await this.api.post(`/orders/${order.id}/reassign/undo`, { version: order.version }));
        toast(t("reassign.undone"), { kind: "good" });
      } catch (error) {
        await this.explain(order.id, error);
      }
      this.paint();
    };
    this.undoable = undo;
    setTimeout(() => this.undoable === undo && (this.undoable = null), seconds * 1000);
    const text = order.runner
      ? t("reassign.done", { code: order.code, name: this.board.runnerName(order) })
      : t("reassign.freed", { code: order.code });
    toast(text, { kind: "good", seconds, action: { label: t("reassign.undo"), run: undo } });
  }

  /** The form inside the order panel. */
  view(order) {
    const form = this.form;
    if (!form || form.orderId !== order.id) return null;
    const weighed = this.options.get(order.id);
    const options = weighed?.options;
    const choose = (runnerId) => {
      form.runnerId = runnerId;
      this.paint();
    };
    const picked = form.runnerId ? this.optionOf(order.id, form.runnerId) : null;
    return h(
      "section",
      { class: "reassign", key: "reassign", "aria-label": t("reassign.title") },
      h(
        "div",
        { class: "panel-head" },
        h("h3", {}, t("reassign.title")),
        h(
          "button",
          { type: "button", class: "icon-button", "aria-label": t("nav.close"), onclick: () => this.close() },
          icon("close"),
        ),
      ),
      !options && h("p", { class: "muted" }, t("console.loading")),
      options &&
        h(
          "div",
          { class: "options", role: "radiogroup", "aria-label": t("why.runner") },
          order.runner &&
            order.status !== "carrying" &&
            optionRow({
              key: "nobody",
              isChosen: form.runnerId === NOBODY,
              onChoose: () => choose(NOBODY),
              name: t("reassign.nobody"),
              detail: t("reassign.nobody_hint"),
            }),
          options.map((option) =>
            optionRow({
              key: option.runner_id,
              isChosen: form.runnerId === option.runner_id,
              isOff: option.is_current,
              onChoose: () => choose(option.runner_id),
              name: option.runner_name,
              isWarned: Boolean(option.excluded),
              detail: option.is_current
                ? t("reassign.current")
                : option.excluded
                  ? codeText("excluded", option.excluded)
                  : [
                      distance(option.distance_m),
                      t("reassign.load", { a: option.load_before, b: option.load_before + 1 }),
                      movesSummary(option.moves),
                    ].join(" · "),
              cost: option.is_current || option.excluded ? null : cost(option),
              at: option.arrive_at_ms,
            }),
          ),
        ),
      weighed?.left_out > 0 && h("p", { class: "muted small" }, t("moves.left_out", { n: weighed.left_out })),
      picked && !picked.excluded && h("p", { class: "note" }, icon("info"), this.costLine(order.id, form.runnerId)),
      weighed &&
        (picked ? !picked.is_current : form.runnerId === NOBODY) &&
        movesList({ view: weighed, option: picked, nameOf: (id) => this.board.runners.get(id)?.name ?? id.slice(-6) }),
      h(
        "fieldset",
        { class: "reasons" },
        h("legend", {}, t("reassign.reason")),
        REASONS.map((reason) =>
          h(
            "label",
            { class: "chip", key: reason },
            h("input", {
              type: "radio",
              name: "reason",
              value: reason,
              checked: form.reason === reason,
              onchange: () => ((form.reason = reason), this.paint()),
            }),
            h("span", {}, t(`reassign.reason.${reason}`)),
          ),
        ),
      ),
      h("input", {
        class: "input",
        "aria-label": t("reassign.note"),
        placeholder: t("reassign.note"),
        maxlength: 200,
        value: form.note,
        oninput: (event) => (form.note = event.target.value),
      }),
      h(
        "button",
        {
          type: "button",
          class: "button primary wide",
          disabled: this.isBusy || !form.reason || form.runnerId === null,
          onclick: () => this.confirm(),
        },
        form.reason ? t("reassign.confirm") : t("reassign.reason_first"),
      ),
    );
  }
}

function cost(option) {
  const sign = option.cost_s >= 0 ? "+" : "−";
  return `${sign}${duration(option.cost_s)}`;
}

function optionRow({ key, isChosen, onChoose, name, detail, cost: costText, at, isOff, isWarned }) {
  return h(
    "button",
    {
      key,
      type: "button",
      role: "radio",
      class: `option ${isWarned ? "is-warned" : ""}`,
      "aria-checked": String(isChosen),
      disabled: Boolean(isOff),
      onclick: onChoose,
    },
    h("span", { class: "option-main" }, h("b", {}, name), h("small", { class: "muted" }, detail)),
    costText &&
      h("span", { class: "option-cost" }, h("b", {}, costText), h("small", { class: "muted" }, clockTime(at))),
  );
}

/** Cancel as an operator: the reason and the runner's share are asked for. */
export async function cancelOrder({ api, board, order }) {
  const state = { reason: "", charge: order.status === "carrying" ? 100 : 0 };
  const answer = await ask({
    title: t("cancel.operator_title", { code: order.code }),
    content: (close) =>
      h(
        "form",
        { onsubmit: (event) => (event.preventDefault(), close(state)) },
        h(
          "label",
          { class: "field" },
          h("span", {}, t("cancel.reason")),
          h("input", {
            class: "input",
            required: true,
            maxlength: 200,
            oninput: (event) => (state.reason = event.target.value),
          }),
        ),
        h(
          "label",
          { class: "field" },
          h("span", {}, t("cancel.charge")),
          h(
            "select",
            { value: String(state.charge), onchange: (event) => (state.charge = Number(event.target.value)) },
            [0, 30, 50, 100].map((percent) => h("option", { value: String(percent) }, `${percent} %`)),
          ),
        ),
        h("button", { class: "button danger wide" }, t("cancel.confirm")),
      ),
  });
  if (!answer) return;
  try {
    board.put(
      await api.post(`/orders/${order.id}/operator-cancel`, {
        reason: answer.reason,
        version: order.version,
        charge_percent: answer.charge,
      }),
    );
    toast(t("cancel.done", { code: order.code }), { kind: "good" });
  } catch (error) {
    toastError(error);
    if (error.status === 409) await board.refetch(order.id);
  }
}
