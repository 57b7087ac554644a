/** The runner's own credit: read line by line, and appealed where a line is wrong. */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { askWords, creditHead, creditLines, creditRules } from "../credit.js";
import { toast, toastError } from "../shell.js";

export class OwnCredit {
  /** @param {{api: import("../api.js").Api, paint: () => void}} parts */
  constructor({ api, paint }) {
    this.api = api;
    this.paint = paint;
    /** @type {import("../types.js").CreditView | null} */
    this.known = null;
  }

  async load() {
    try {
      this.known = await this.api.get("/me/credit");
    } catch (error) {
      console.warn("credit:", error.code);
    }
    this.paint();
  }

  async more() {
    const before = this.known.next_before;
    try {
      const page = await this.api.get("/me/credit", { before });
      if (this.known.next_before !== before) return;
      this.known = { ...page, lines: [...this.known.lines, ...page.lines] };
    } catch (error) {
      toastError(error);
    }
    this.paint();
  }

  view() {
    if (!this.known) return h("p", { class: "muted", key: "credit" }, t("console.loading"));
    return [
      creditHead(this.known),
      creditRules(this.known),
      creditLines(this.known, { acts: (line) => this.acts(line), onMore: () => this.more() }),
    ];
  }

  acts(line) {
    return (
      line.can_appeal &&
      h(
        "button",
        { type: "button", class: "button small", onclick: () => this.appeal(line) },
        icon("flag"),
        t("credit.appeal"),
      )
    );
  }

  async appeal(line) {
    const said = await askWords({
      title: t("credit.appeal_title"),
      label: t("credit.appeal_words"),
      button: t("credit.appeal_send"),
      rows: 4,
      most: 500,
      more: h("p", { class: "muted" }, t("credit.appeal_hint")),
    });
    if (!said) return;
    try {
      await this.api.post(`/credit-lines/${line.id}/appeal`, { text: said.words });
      toast(t("credit.appeal_sent"), { kind: "good" });
    } catch (error) {
      toastError(error);
    }
    this.load();
  }
}
