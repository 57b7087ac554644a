/** What the runner's page looks like; what it does is in `main.js`. */

import { h } from "../dom.js";
import { clockTime, t } from "../i18n.js";
import { icon } from "../icons.js";
import { breakBar } from "./break.js";
import { hallList, offerCard } from "./offer-card.js";
import { nextStep, nextStop } from "./task-card.js";
import { dayFigures, walletView } from "./wallet.js";

/** Whoever is busy is asked again after so long. */
const ASK_AGAIN_S = 900;
/** The tabs and their signs. */
const TABS = { now: "bolt", hall: "list", week: "clock", wallet: "wallet", credit: "star" };

/** No network, or taps on their way: how many, and since when. */
export function offlineBanner(page) {
  const waiting = page.queue.actions.length;
  const isLost = page.live.state !== "live";
  if (!isLost && !waiting) return null;
  const last = page.live.fixes.newest;
  return h(
    "div",
    { class: `offline-banner ${isLost ? "" : "is-sending"}`, role: "status" },
    icon(isLost ? "offline" : "history"),
    h(
      "span",
      {},
      [
        isLost ? t("offline.title") : t("offline.sending"),
        waiting ? t("offline.actions", { n: waiting, at: clockTime(page.queue.actions[0].tappedAtMs, true) }) : null,
        isLost && last ? t("offline.last_fix", { at: clockTime(last.at, true) }) : null,
        page.live.fixes.backlog ? t("offline.fixes", { n: page.live.fixes.backlog }) : null,
      ]
        .filter(Boolean)
        .join(" · "),
    ),
  );
}

/** On or off duty, how one moves, and whether offers come. */
export function dutyBar(page) {
  return [dutySwitch(page), breakBar(page)];
}

function dutySwitch(page) {
  const { state } = page;
  const isOn = state.is_on_duty;
  return h(
    "section",
    { class: "duty", key: "duty-bar" },
    h(
      "button",
      {
        type: "button",
        class: `duty-switch ${isOn ? "is-on" : ""}`,
        role: "switch",
        "aria-checked": String(isOn),
        id: "duty",
        disabled: page.busyId === "duty",
        onclick: () => page.setDuty(!isOn),
      },
      h("span", { class: "knob", "aria-hidden": "true" }),
      h("b", {}, t(isOn ? "duty.on" : "duty.off")),
    ),
    h(
      "div",
      { class: "segmented small", role: "radiogroup", "aria-label": t("duty.vehicle") },
      ["walk", "e_bike"].map((vehicle) =>
        h(
          "button",
          {
            type: "button",
            role: "radio",
            "aria-checked": String(state.vehicle === vehicle),
            "aria-label": t(`vehicle.${vehicle}`),
            title: t(`vehicle.${vehicle}`),
            onclick: () => page.setVehicle(vehicle),
          },
          icon(vehicle === "walk" ? "walk" : "bike"),
        ),
      ),
    ),
  );
}

/** What lies behind the tab that is open. */
export function tabView(page) {
  switch (page.tab) {
    case "now":
      return nowView(page);
    case "hall":
      return hallList({
        hall: page.hall,
        isOnDuty: page.state.is_on_duty,
        busyId: page.busyId,
        calledId: page.calledId,
        onGrab: (item) => page.grab(item),
        onLook: (item) => page.map.fitPoints(item.stops),
      });
    case "wallet":
      return walletView(page.wallet, {
        onWithdraw: () => page.withdraw(),
        onConfirmed: () => page.loadWallet(),
        onAccount: () => page.setAccount(),
      });
    case "week":
      return page.week.view();
    default:
      return page.credit.view();
  }
}

export function tabButtons(page) {
  return Object.entries(TABS).map(([tab, sign]) =>
    h(
      "button",
      {
        type: "button",
        "aria-pressed": String(page.tab === tab),
        onclick: () => page.show(tab),
      },
      icon(sign),
      t(`runner.tab.${tab}`),
      tab === "hall" && page.hall?.items.length > 0 && h("span", { class: "badge" }, page.hall.items.length),
    ),
  );
}

/** The offers, the errand in hand and the ones after it, the day, the position. */
function nowView(page) {
  const { state } = page;
  const order = page.current;
  const waiting = state.orders.filter((other) => other.id !== order?.id && nextStep(page.queue.project(other)));
  return [
    state.offers.length > 1 &&
      h("p", { class: "note", key: "bundle", role: "status" }, icon("info"), t("offer.several", { n: state.offers.length })),
    state.offers.map((offer) =>
      offerCard({
        offer,
        isBusy: page.busyId === offer.id,
        onAccept: () => page.actOnOffer(offer, "accept"),
        onDecline: () => page.actOnOffer(offer, "decline"),
        onBusy: () => page.actOnOffer(offer, "decline", { ask_again_s: ASK_AGAIN_S }),
      }),
    ),
    order
      ? page.taskCard.view(order)
      : !state.offers.length &&
        h(
          "section",
          { class: "rest card", key: "rest" },
          icon(state.is_on_duty ? "clock" : "moon", "large"),
          h("h1", { role: "status" }, t(state.is_on_duty ? "rest.waiting" : "rest.off")),
          h("p", { class: "muted" }, t(state.is_on_duty ? "rest.waiting_hint" : "rest.off_hint")),
        ),
    waiting.length > 0 &&
      h(
        "ul",
        { class: "next-orders", key: "next" },
        waiting.map((other) =>
          h(
            "li",
            { key: other.id },
            h(
              "button",
              {
                type: "button",
                class: "order-row card",
                onclick: () => ((page.chosenId = other.id), page.taskCard.reset(), page.changed()),
              },
              h("b", { class: "code" }, other.code),
              h("span", { class: "grow" }, nextStop(other)?.label ?? other.description),
              clockTime(other.promised_at_ms),
            ),
          ),
        ),
      ),
    dayFigures(state, () => page.show("credit")),
    positionLine(page),
  ];
}

function positionLine(page) {
  const { state, last } = page.position;
  const accuracy = last?.acc ? ` · ±${Math.round(last.acc)} m` : "";
  const refusal = page.live.fixes.refused ? ` · ${t("position.refused", { n: page.live.fixes.refused })}` : "";
  return h(
    "section",
    { class: `position is-${state}`, key: "position" },
    icon(state === "denied" || state === "unavailable" ? "warning" : "locate"),
    h("span", { class: "grow" }, t(`position.${state}`), accuracy, refusal),
    page.isDemo &&
      (state === "walking"
        ? h(
            "button",
            { type: "button", class: "button small", onclick: () => page.position.useDevice() },
            t("position.use_device"),
          )
        : page.state.is_on_duty &&
          h("button", { type: "button", class: "button small", onclick: () => page.walk() }, t("position.walk"))),
    (state === "denied" || state === "unavailable") && h("small", { class: "muted" }, t(`position.help.${state}`)),
  );
}
