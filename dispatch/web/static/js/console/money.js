/** Money at the console: today at a glance, alarms in words, reconciliation day by day, items to take, risk to decide. */

import { coalesce, h, render } from "../dom.js";
import { askWords } from "../credit.js";
import { onLanguage, t } from "../i18n.js";
import { icon } from "../icons.js";
import { toast, toastError } from "../shell.js";
import { couponRules, couponTable } from "./money-coupons.js";
import {
  alarmList, askRun, caseList, channelList, figures, itemList, refundList, runTable,
} from "./money-parts.js";
import { askVerdict, withdrawalRows } from "./withdrawals.js";

const REFRESH_MS = 30_000;
/** While a run is under way it is looked at more often, so many times. */
const LOOK_MS = 2_000;
const LOOKS = 60;
const PARTS = {
  overview: "/money/overview",
  alarms: "/money/alarms",
  items: "/money/items",
  runs: "/money/runs",
  refunds: "/money/refunds",
  cases: "/money/risk-cases",
  withdrawals: "/money/withdrawals",
  coupons: "/money/coupons",
};

export class MoneyView {
  /**
   * @param {{element: HTMLElement, api: import("../api.js").Api, mayManage: boolean, maySet: boolean,
   *   onOrder: (orderId: string) => void, onToggle: () => void}} parts
   */
  constructor({ element, api, mayManage, maySet, onOrder, onToggle }) {
    Object.assign(this, { element, api, mayManage, maySet, onOrder, onToggle });
    /** The newest answer of each part. @type {Record<string, any>} */
    this.known = {};
    /** The run whose differences are shown. @type {{run: any, items: any[]} | null} */
    this.chosen = null;
    /** Which day of which channel somebody wants reconciled. @type {{channel?: string, day?: string}} */
    this.asked = {};
    /** How often a run that is under way is still looked at. */
    this.looks = 0;
    this.paint = coalesce(() => this.paintNow());
    onLanguage(() => this.paint());
    setInterval(() => this.isOpen && this.load(), REFRESH_MS);
  }

  get isOpen() {
    return !this.element.hidden;
  }

  toggle() {
    this.element.hidden = this.isOpen;
    if (this.isOpen) this.load();
    this.onToggle();
  }

  /** Escape: whether there was something to give up. */
  escape() {
    if (!this.isOpen) return false;
    if (this.chosen) {
      this.chosen = null;
      this.paint();
    } else this.toggle();
    return true;
  }

  /** An alarm begins or ends: the view knows it at once. @param {{kind: string, data: any}} event */
  apply({ data }) {
    if (this.isOpen && ["money_alarm", "risk_held", "withdrawal_held"].includes(data.alert?.kind)) this.load();
  }

  async load() {
    this.paint();
    await Promise.all(
      Object.entries(PARTS).map(async ([name, path]) => {
        try {
          this.known[name] = await this.api.get(path);
        } catch (error) {
          console.warn("money:", name, error.code);
        }
        this.paint();
      }),
    );
  }

  // --- acting

  async act(path, body, done) {
    try {
      await this.api.post(path, body);
      toast(done, { kind: "good", seconds: 3 });
    } catch (error) {
      toastError(error);
    }
    await this.load();
    if (this.chosen) await this.choose(this.chosen.run);
  }

  take(item) {
    const body = item.handler ? { instead_of: item.handler } : {};
    return this.act(`/money/items/${item.id}/take`, body, t("money.taken"));
  }

  async close(item) {
    const said = await askWords({ title: t("money.close_title"), button: t("money.close"), most: 500 });
    if (said) await this.act(`/money/items/${item.id}/close`, { reason: said.words }, t("money.closed"));
  }

  async review(found, isReleased) {
    const name = isReleased ? "release" : "refuse";
    const said = await askWords({ title: t(`risk.${name}_title`), button: t(`risk.${name}`), most: 500 });
    if (!said) return;
    const body = { is_released: isReleased, reason: said.words };
    await this.act(`/money/risk-cases/${found.id}/review`, body, t("risk.decided"));
  }

  async saveRules(rules) {
    try {
      await this.api.patch("/coupon-rules", rules);
      toast(t("money.coupons.saved"), { kind: "good", seconds: 3 });
    } catch (error) {
      toastError(error);
    }
    await this.load();
  }

  async judge(withdrawal, isApproved) {
    const verdict = await askVerdict(withdrawal, isApproved);
    if (verdict) await this.act(`/money/withdrawals/${withdrawal.id}/review`, verdict, t("money.withdrawal.decided"));
  }

  /** Have a channel's day reconciled now, and watch until it is. */
  async reconcile(channel, day) {
    try {
      await this.api.post("/money/runs", { channel, day });
    } catch (error) {
      toastError(error);
      return;
    }
    toast(t("money.run_asked", { day, channel }), { kind: "good", seconds: 3 });
    this.looks = LOOKS;
    await this.load();
    this.look();
  }

  /** Look again while something is under way: a bill that is fetched, a difference that the machine repairs. */
  look() {
    clearTimeout(this.lookTimer);
    this.lookTimer = setTimeout(async () => {
      if (!this.isOpen || this.looks <= 0) return;
      this.looks -= 1;
      const wasUnderWay = this.isUnderWay();
      await this.load();
      if (this.chosen) await this.choose(this.chosen.run);
      if (wasUnderWay || this.isUnderWay()) this.look();
    }, LOOK_MS);
  }

  isUnderWay() {
    const runs = this.known.runs?.runs ?? [];
    return runs.some((run) => run.is_under_way) || !!this.chosen?.items.some((item) => item.state === "repairing");
  }

  async choose(run) {
    try {
      this.chosen = await this.api.get(`/money/runs/${run.id}`);
    } catch (error) {
      toastError(error);
    }
    this.paint();
  }

  /** The table as a file: a link alone could not say whose session it is. */
  async download(path, name) {
    try {
      const url = await this.api.picture(path);
      h("a", { href: url, download: `${name}.csv` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (error) {
      toastError(error);
    }
  }

  // --- painting

  paintNow() {
    if (!this.isOpen) return;
    const { overview, alarms, items, runs, refunds, cases, coupons, withdrawals } = this.known;
    render(
      this.element,
      h(
        "div",
        { class: "panel-head", key: "head" },
        h("h2", {}, t("money.title")),
        h(
          "button",
          { type: "button", class: "icon-button", "aria-label": t("nav.close"), onclick: () => this.toggle() },
          icon("close"),
        ),
      ),
      !overview && h("p", { class: "muted", key: "loading" }, t("console.loading")),
      overview && section("today", t("money.today"), [figures(overview), channelList(overview.channels)]),
      alarms && section("alarms", t("money.alarms"), alarmList(alarms.alarms)),
      items &&
        section(
          "items",
          t("money.items"),
          itemList(items.items, this.acts()),
          items.items.length > 0 && this.csvButton("/money/items/csv", "work-items"),
        ),
      withdrawals &&
        section(
          "withdrawals",
          t("money.withdrawals"),
          withdrawalRows(
            withdrawals.withdrawals,
            this.mayManage ? (one, isApproved) => this.judge(one, isApproved) : null,
          ),
        ),
      runs &&
        section("runs", t("money.runs"), [
          this.mayManage && overview && askRun(overview, this.asked, (channel, day) => this.reconcile(channel, day)),
          runTable(runs.runs, (run) => this.choose(run)),
          this.chosenRun(),
        ]),
      refunds && section("refunds", t("money.refunds"), refundList(refunds.refunds, this.onOrder)),
      cases &&
        section(
          "cases",
          t("money.cases"),
          caseList(cases.cases, {
            onReview: this.mayManage ? (found, isReleased) => this.review(found, isReleased) : null,
            onOrder: this.onOrder,
          }),
        ),
      coupons &&
        section("coupons", t("money.coupons"), [
          couponTable(coupons, overview?.totals.subsidies_fen ?? 0),
          this.maySet && couponRules(coupons, (rules) => this.saveRules(rules)),
        ]),
    );
  }

  acts() {
    return {
      onTake: this.mayManage ? (item) => this.take(item) : null,
      onClose: this.mayManage ? (item) => this.close(item) : null,
      onOrder: this.onOrder,
    };
  }

  chosenRun() {
    if (!this.chosen) return null;
    const { run, items } = this.chosen;
    return h(
      "div",
      { class: "money-section", id: "money-run", key: `run-${run.id}` },
      h(
        "div",
        { class: "money-head" },
        h("h4", {}, t("money.run_of", { day: run.day, channel: run.channel })),
        this.mayManage &&
          h(
            "button",
            {
              type: "button",
              class: "button small",
              disabled: run.is_under_way,
              onclick: () => this.reconcile(run.channel, run.day),
            },
            icon("swap"),
            t(run.is_under_way ? "money.run.under_way" : "money.run_again"),
          ),
        this.csvButton(`/money/runs/${run.id}/csv`, run.id),
      ),
      itemList(items, this.acts(), t("money.no_difference")),
    );
  }

  csvButton(path, name) {
    return h(
      "button",
      { type: "button", class: "button small", onclick: () => this.download(path, name) },
      icon("down"),
      t("money.csv"),
    );
  }
}

function section(name, title, content, extra = null) {
  return h(
    "section",
    { class: "money-section", key: name, id: `money-${name}`, "aria-label": title },
    h("div", { class: "money-head" }, h("h3", {}, title), extra),
    content,
  );
}
