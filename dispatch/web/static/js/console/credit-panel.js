/** Credit at the console: one runner's history over the map, corrected, taken back, appeals decided. */

import { coalesce, h, render } from "../dom.js";
import { onLanguage, t } from "../i18n.js";
import { icon } from "../icons.js";
import { askWords, creditHead, creditLines, creditRules } from "../credit.js";
import { toast, toastError } from "../shell.js";

const KINDS = ["corrected", "damaged", "lost"];

export class CreditPanel {
  /**
   * @param {{element: HTMLElement, api: import("../api.js").Api, nameOf: (id: string) => string,
   *   ordersOf: (id: string) => {id: string, code: string}[], onOrder: (id: string) => void, onClose: () => void,
   *   onActed: () => void}} parts
   */
  constructor({ element, api, nameOf, ordersOf, onOrder, onClose, onActed }) {
    Object.assign(this, { element, api, nameOf, ordersOf, onOrder, onClose, onActed });
    this.runnerId = null;
    /** @type {import("../types.js").CreditView | null} */
    this.known = null;
    this.paint = coalesce(() => this.paintNow());
    onLanguage(() => this.paint());
  }

  get isOpen() {
    return this.runnerId !== null;
  }

  open(runnerId) {
    if (runnerId !== this.runnerId) this.known = null;
    this.runnerId = runnerId;
    this.element.hidden = false;
    this.load();
  }

  close() {
    this.runnerId = null;
    this.known = null;
    this.element.hidden = true;
    this.onClose();
  }

  /** Escape: whether there was something to give up. */
  escape() {
    if (!this.isOpen) return false;
    this.close();
    return true;
  }

  /** @param {{kind: string, data: any}} event */
  apply({ kind, data }) {
    if (kind === "credit_changed" && data.account_id === this.runnerId) this.load();
  }

  async load() {
    const { runnerId } = this;
    this.paint();
    try {
      const view = await this.api.get(`/accounts/${runnerId}/credit`);
      if (this.runnerId === runnerId) this.known = view;
    } catch (error) {
      if (this.runnerId === runnerId) toastError(error);
    }
    this.paint();
  }

  async more() {
    const { runnerId, known } = this;
    try {
      const page = await this.api.get(`/accounts/${runnerId}/credit`, { before: known.next_before });
      if (this.known === known) this.known = { ...page, lines: [...known.lines, ...page.lines] };
    } catch (error) {
      toastError(error);
    }
    this.paint();
  }

  async act(path, body) {
    try {
      const view = await this.api.post(path, body);
      if (this.runnerId === view.account_id) this.known = view;
      toast(t("credit.saved"), { kind: "good", seconds: 3 });
      this.onActed();
    } catch (error) {
      toastError(error);
      if (error.status === 409) this.load();
    }
    this.paint();
  }

  // --- what the campus team does

  async reverse(line) {
    const said = await askWords({ title: t("credit.reverse_title"), button: t("credit.reverse") });
    if (said) this.act(`/credit-lines/${line.id}/reverse`, { reason: said.words });
  }

  async decide(line, isGranted) {
    const said = await askWords({
      title: t(isGranted ? "credit.grant_title" : "credit.refuse_title"),
      label: t("credit.answer"),
      button: t(isGranted ? "credit.grant" : "credit.refuse"),
    });
    if (!said) return;
    this.act(`/credit-appeals/${line.appeal.id}/decide`, { is_granted: isGranted, answer: said.words });
  }

  /** Orders that may be meant: in hand now, or in a line. @returns {Map<string, string>} */
  codes() {
    const live = this.ordersOf(this.runnerId).map((order) => [order.id, order.code]);
    const told = this.known.lines.filter((line) => line.order_id).map((line) => [line.order_id, line.order_id.slice(-6)]);
    return new Map([...live, ...told]);
  }

  async record() {
    const { runnerId } = this;
    const said = await askWords({
      title: t("credit.record_title", { name: this.known.name }),
      button: t("credit.record"),
      more: recordFields(this.codes()),
    });
    if (!said) return;
    const body = { kind: said.kind, reason: said.words };
    if (said.kind === "corrected") body.delta = Number(said.delta);
    if (said.order) body.order_id = said.order;
    this.act(`/accounts/${runnerId}/credit`, body);
  }

  // --- painting

  paintNow() {
    if (!this.isOpen) return;
    render(
      this.element,
      h(
        "div",
        { class: "panel-head", key: "head" },
        h("h2", {}, t("credit.of", { name: this.known?.name ?? this.nameOf(this.runnerId) })),
        h(
          "button",
          { type: "button", class: "icon-button", "aria-label": t("nav.close"), onclick: () => this.close() },
          icon("close"),
        ),
      ),
      this.known
        ? [
            creditHead(this.known),
            h(
              "button",
              { type: "button", class: "button small", id: "credit-record", key: "record", onclick: () => this.record() },
              icon("pencil"),
              t("credit.record"),
            ),
            creditLines(this.known, {
              acts: (line) => this.acts(line),
              onMore: () => this.more(),
              onOrder: (id) => this.onOrder(id),
            }),
            creditRules(this.known),
          ]
        : h("p", { class: "muted", key: "loading" }, t("console.loading")),
    );
  }

  acts(line) {
    const button = (label, name, run) =>
      h("button", { type: "button", class: "button small", onclick: run }, icon(name), label);
    if (line.appeal?.status === "open") {
      return h(
        "div",
        { class: "actions" },
        button(t("credit.grant"), "check", () => this.decide(line, true)),
        button(t("credit.refuse"), "close", () => this.decide(line, false)),
      );
    }
    const isFinal = line.is_reversed || !line.delta || ["opening", "reversed"].includes(line.reason);
    return !isFinal && button(t("credit.reverse"), "undo", () => this.reverse(line));
  }
}

/** What is recorded: a correction of so many points, or an incident with an order. */
function recordFields(codes) {
  const fold = (event) => {
    const { delta } = event.target.form.elements;
    delta.disabled = event.target.value !== "corrected";
    event.target.form.elements.order.required = event.target.value !== "corrected";
  };
  return [
    h(
      "label",
      { class: "field" },
      h("span", {}, t("credit.kind")),
      h(
        "select",
        { class: "input", name: "kind", onchange: fold },
        KINDS.map((kind) => h("option", { value: kind }, t(`credit.kind.${kind}`))),
      ),
    ),
    h(
      "label",
      { class: "field" },
      h("span", {}, t("credit.points")),
      h("input", { class: "input", name: "delta", type: "number", min: -100, max: 100, step: 1, required: true }),
    ),
    h(
      "label",
      { class: "field" },
      h("span", {}, t("credit.order")),
      h("input", {
        class: "input",
        name: "order",
        list: "credit-orders",
        pattern: "ord_[0-9A-HJKMNP-TV-Z]{26}",
        placeholder: "ord_…",
      }),
      h(
        "datalist",
        { id: "credit-orders" },
        [...codes].map(([id, code]) => h("option", { value: id }, code)),
      ),
    ),
  ];
}
