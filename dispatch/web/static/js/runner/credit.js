/** The runner's own credit: read line by line, and appealed where a line is wrong. */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { creditHead, creditLines, creditRules } from "../credit.js";
import { ask, toast, toastError } from "../shell.js";

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
    const text = await askWords({
      title: t("credit.appeal_title"),
      hint: t("credit.appeal_hint"),
      label: t("credit.appeal_words"),
      button: t("credit.appeal_send"),
      most: 500,
    });
    if (!text) return;
    try {
      await this.api.post(`/credit-lines/${line.id}/appeal`, { text });
      toast(t("credit.appeal_sent"), { kind: "good" });
    } catch (error) {
      toastError(error);
    }
    this.load();
  }
}

/** A few words from somebody; null when they think better of it. */
function askWords({ title, hint, label, button, most }) {
  return ask({
    title,
    content: (close) =>
      h(
        "form",
        {
          onsubmit: (event) => {
            event.preventDefault();
            close(event.target.elements.words.value.trim());
          },
        },
        h("p", { class: "muted" }, hint),
        h(
          "label",
          { class: "field" },
          h("span", {}, label),
          h("textarea", { class: "input", name: "words", rows: 4, required: true, minlength: 3, maxlength: most }),
        ),
        h("button", { class: "button primary wide" }, button),
      ),
  });
}
