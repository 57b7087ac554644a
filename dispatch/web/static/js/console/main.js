/** The operator's console: one screen, three columns, nothing modal for the common act. */

import { $, coalesce, h, render } from "../dom.js";
import { onLanguage, t } from "../i18n.js";
import { icon } from "../icons.js";
import { CampusMap } from "../map.js";
import { RunnerLayer, StopLayer, WayLayer } from "../map-layers.js";
import { boot } from "../session.js";
import { toast, toastError, topBar } from "../shell.js";
import { isSoundOn, play, setSound } from "../sounds.js";
import { Board } from "./board.js";
import { CreditPanel } from "./credit-panel.js";
import { OrderDrag } from "./drag.js";
import { Fences } from "./fences.js";
import { Foresight } from "./foresight.js";
import { FreshnessView } from "./freshness-view.js";
import { kpiStrip } from "./kpis.js";
import { MoneyView } from "./money.js";
import { OrderPanel } from "./order-panel.js";
import { PlanPreview } from "./plan-preview.js";
import { paintQueue } from "./queue.js";
import { cancelOrder, Reassigner } from "./reassign.js";
import { openWeek } from "./runner-week.js";
import { paintTray } from "./tray.js";
import { readView, writeView } from "./view-url.js";
import { Viewport } from "./viewport.js";

const LIST_GAP_MS = 200;
const REFRESH_MS = 30_000;

boot({
  slot: "console",
  needs: "orders.read_any",
  worksHidden: true,
  begin(session) {
    new Console(session).begin();
  },
});

class Console {
  /** @param {import("../session.js").Session} session */
  constructor(session) {
    this.session = session;
    this.api = session.api;
    this.view = readView();
    this.hoverId = null;
    this.freshness = new FreshnessView();
    /** What came live and is not on the map yet. @type {import("../live.js").Position[]} */
    this.arrived = [];
    this.paint = coalesce(() => this.paintNow(), LIST_GAP_MS);
    this.board = new Board({ api: this.api, onChange: () => this.paint(), onAlert: (alert) => this.announce(alert) });
    this.reassigner = new Reassigner({ api: this.api, board: this.board, paint: this.paint });
    this.foresight = new Foresight({ api: this.api, board: this.board, paint: this.paint });
    const { api, board, reassigner, foresight, paint } = this;
    const mayRefund = this.session.account.permissions.includes("money.manage");
    this.panel = new OrderPanel({ api, board, reassigner, foresight, paint, mayRefund });
  }

  begin() {
    const { live, campus, geojson } = this.session;
    this.map = new CampusMap($("#map"), geojson, { label: t("console.map") });
    this.ways = new WayLayer(this.map);
    this.runnerLayer = new RunnerLayer(this.map, { onPick: (id) => this.chooseRunner(id) });
    this.stopLayer = new StopLayer(this.map, { onPick: (id) => this.choose(id) });
    this.fences = new Fences({
      element: $("#fences"),
      map: this.map,
      api: this.api,
      nameOf: (id) => this.board.runners.get(id)?.name ?? "",
      runners: () => [...this.board.runners.values()],
      onRunner: (id) => this.chooseRunner(id),
    });
    this.credit = new CreditPanel({
      element: $("#credit"),
      api: this.api,
      nameOf: (id) => this.board.runners.get(id)?.name ?? "",
      ordersOf: (id) => this.board.ordersOf(id),
      onOrder: (id) => this.choose(id),
      onClose: () => this.paint(),
      onActed: () => this.board.reload(),
    });
    this.money = new MoneyView({
      element: $("#money"),
      api: this.api,
      mayManage: this.session.account.permissions.includes("money.manage"),
      maySet: this.session.account.permissions.includes("campus.manage_settings"),
      onOrder: (id) => this.choose(id, () => this.change({ tab: "trace" })),
      onToggle: () => this.paintTop(),
    });
    this.plans = new PlanPreview({
      element: $("#plan"),
      map: this.map,
      api: this.api,
      board: this.board,
      onOrder: (id) => this.choose(id),
      onChange: () => this.paintTop(),
    });
    this.drag = new OrderDrag({
      reassigner: this.reassigner,
      runnerLayer: this.runnerLayer,
      mapElement: $("#map"),
      onDrop: (orderId, runnerId) => this.choose(orderId, () => this.reassigner.open(orderId, runnerId)),
    });
    this.paintTop = topBar({
      page: "console",
      session: this.session,
      middle: () => kpiStrip(this.board, { filter: this.view.filter, onFilter: (filter) => this.filter(filter) }),
      extra: () => [this.freshness.view(), this.planButton(), this.moneyButton(), this.fenceButton(), this.soundButton()],
    });
    const paintDots = coalesce(() => {
      const beganAt = performance.now();
      this.paintDots();
      this.viewport.pace.drawn(performance.now() - beganAt);
    });
    const topic = `console:${campus.id}`;
    this.viewport = new Viewport({ live, topic, map: this.map, countRunners: () => this.board.runners.size });
    live.follow(topic, {
      onSnapshot: (data) => this.board.load(data),
      onEvent: (event) => [this.board, this.fences, this.credit, this.money].forEach((part) => part.apply(event)),
      onPositions: (positions, isCatchingUp) => {
        this.board.move(positions);
        if (!isCatchingUp) this.arrived.push(...positions);
        paintDots();
      },
      onGone: (ids) => {
        for (const id of ids) this.runnerLayer.remove(id);
        this.board.forget(ids);
      },
    });
    live.start();
    this.board.reload();
    document.addEventListener("keydown", (event) => this.onKey(event));
    addEventListener("hashchange", () => {
      this.view = readView();
      this.paint();
    });
    onLanguage(() => this.paint());
    setInterval(() => (this.runnerLayer.ageAll(), this.viewport.say(), this.paint()), 1000);
    setInterval(() => this.board.reload(), REFRESH_MS);
  }

  announce(alert) {
    play(alert.kind);
    $("#spoken").textContent = t("alerts.new");
  }

  planButton() {
    const { permissions } = this.session.account;
    return permissions.includes("orders.reassign") && this.plans.button(() => this.change({ pane: "map" }));
  }

  moneyButton() {
    if (!this.session.account.permissions.includes("money.read")) return null;
    const open = () => (this.change({ pane: "map" }), this.money.toggle());
    return topButton("money-open", "wallet", t("money.open"), this.money.isOpen, open);
  }

  fenceButton() {
    const open = () => (this.change({ pane: "map" }), this.fences.toggle(), this.paintTop());
    return topButton("fences-open", "flag", t("fence.open"), this.fences.isOpen, open);
  }

  soundButton() {
    const isOn = isSoundOn();
    const label = t(isOn ? "alerts.sound_off" : "alerts.sound_on");
    return topButton(null, isOn ? "bell" : "mute", label, isOn, () => (setSound(!isOn), this.paintTop()));
  }

  // --- what is looked at

  change(part) {
    Object.assign(this.view, part);
    writeView(this.view);
    this.paint();
  }

  filter(filter) {
    this.change({ filter });
  }

  async choose(orderId, then) {
    if (this.reassigner.form && this.reassigner.form.orderId !== orderId) this.reassigner.form = null;
    this.change({ orderId, pane: orderId ? "order" : this.view.pane });
    if (orderId && !this.board.orders.has(orderId)) await this.board.refetch(orderId);
    const order = this.board.orders.get(orderId);
    if (order) this.lookAt(order);
    then?.();
    requestAnimationFrame(() => document.getElementById(`row-${orderId}`)?.scrollIntoView({ block: "nearest" }));
  }

  lookAt(order) {
    const points = order.stops.map((stop) => ({ lat: stop.lat, lon: stop.lon }));
    const position = order.runner && this.board.positions.get(order.runner.id);
    if (position) points.push(position);
    const view = this.map.leaflet.getBounds().pad(-0.08);
    if (points.some((point) => !view.contains([point.lat, point.lon]))) this.map.fitPoints(points);
  }

  chooseRunner(runnerId) {
    const orders = this.board.ordersOf(runnerId);
    this.change({ runnerId, tray: "runners" });
    const position = this.board.positions.get(runnerId);
    if (position) this.map.panTo(position);
    if (orders.length && !orders.some((order) => order.id === this.view.orderId)) this.choose(orders[0].id);
    requestAnimationFrame(() =>
      document.querySelector(`[data-runner="${runnerId}"]`)?.scrollIntoView({ block: "nearest", inline: "nearest" }),
    );
  }

  openCredit(runnerId) {
    this.change({ pane: "map" });
    this.credit.open(runnerId);
  }

  // --- painting

  paintNow() {
    const { board, view, drag } = this;
    const order = view.orderId ? board.orders.get(view.orderId) : null;
    this.panel.refresh(order);
    paintQueue($("#queue"), {
      board,
      view,
      foresight: this.foresight,
      drag,
      onSelect: (id) => this.choose(id),
      onFilter: (filter) => this.filter(filter),
      onSearch: (text) => this.change({ text }),
      onHover: (id) => this.hover(id),
    });
    render(
      $("#order"),
      this.panel.view({
        tab: view.tab,
        onTab: (tab) => this.change({ tab }),
        onClose: () => this.choose(null),
        onCancel: (shown) => cancelOrder({ api: this.api, board, order: shown }),
        onRunner: (id) => this.chooseRunner(id),
      }),
    );
    this.paintTray();
    this.paintStops();
    this.paintDots(true);
    this.paintWay(order);
    this.paintTop();
    document.body.dataset.pane = view.pane;
    render(
      $("#panes"),
      ["queue", "map", "order", "tray"].map((pane) =>
        h(
          "button",
          {
            type: "button",
            "aria-pressed": String(view.pane === pane),
            onclick: () => this.change({ pane }),
          },
          icon({ queue: "list", map: "map", order: "parcel", tray: "users" }[pane]),
          t(`pane.${pane}`),
        ),
      ),
    );
  }

  paintTray() {
    paintTray($("#tray"), {
      board: this.board,
      view: this.view,
      drag: this.drag,
      onChange: (part) => this.change(part),
      onAcknowledge: (alert) => this.acknowledge(alert),
      onOrder: (id) => this.choose(id),
      onRunner: (id) => this.chooseRunner(id),
      onCredit: (id) => this.openCredit(id),
      onWeek: (runner) => openWeek({ api: this.api, runner }),
    });
  }

  paintStops() {
    const shown = new Set();
    for (const order of this.board.orders.values()) {
      if (!this.board.isActive(order)) continue;
      shown.add(order.id);
      this.stopLayer.put(order.id, order.stops, {
        isLate: this.board.isLate(order),
        isWaiting: this.board.isWaiting(order),
        isSmall: true,
        isJoined: order.id === this.view.orderId || order.id === this.hoverId,
        title: order.code,
      });
    }
    this.stopLayer.keepOnly(shown);
  }

  hover(orderId) {
    this.hoverId = orderId;
    this.paintStops();
  }

  /** @param {boolean} [isAll] faces may have changed, not only places */
  paintDots(isAll = false) {
    const { board } = this;
    const moved = board.takeMoved();
    for (const id of isAll ? board.positions.keys() : moved) {
      const position = board.positions.get(id);
      if (!position) continue;
      const { look, text } = board.faceOf(id);
      if (look === "off") this.runnerLayer.remove(id);
      else this.runnerLayer.put(id, position, { look, text, name: board.runners.get(id)?.name ?? "" });
    }
    this.freshness.shown(this.arrived.splice(0));
    if (isAll) {
      const order = board.orders.get(this.view.orderId);
      this.runnerLayer.choose(order?.runner?.id ?? this.view.runnerId);
    }
  }

  async paintWay(order) {
    const key = order && isUnderWay(order) ? `${order.id}@${order.version}` : "";
    if (this.wayKey === key) return;
    this.wayKey = key;
    this.ways.clear();
    if (!key) return;
    const track = await this.api.get(`/orders/${order.id}/track`).catch(() => null);
    if (track && this.wayKey === key) this.ways.show(track.line?.length > 1 ? track.line : track.points, track.path);
  }

  async acknowledge(alert) {
    try {
      await this.api.post(`/alerts/${alert.id}/acknowledge`);
      this.board.alerts = this.board.alerts.filter((other) => other.id !== alert.id);
      toast(t("alerts.acknowledged"), { kind: "good", seconds: 3 });
    } catch (error) {
      toastError(error);
    }
    this.paint();
  }

  // --- keyboard

  onKey(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const isTyping = target.matches("input, select, textarea") || document.querySelector("dialog[open]");
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
      if (isTyping) target.blur();
      else if (this.money.escape() || this.credit.escape() || this.plans.escape() || this.fences.escape()) return;
      else if (this.reassigner.form) this.reassigner.close();
      else this.choose(null);
      return;
    }
    if (isTyping || target.closest("#map") || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = this.keys()[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  }

  keys() {
    const order = this.board.orders.get(this.view.orderId);
    const alert = this.board.alerts.find((one) => !one.is_acknowledged);
    return {
      r: () => order && this.board.isActive(order) && this.reassigner.open(order.id),
      u: () => this.reassigner.undoable?.(),
      w: () => this.change({ tab: "why" }),
      a: () => alert && this.acknowledge(alert),
      "/": () => $("#queue-search").focus(),
      arrowdown: () => this.stepQueue(1),
      arrowup: () => this.stepQueue(-1),
      j: () => this.stepQueue(1),
      k: () => this.stepQueue(-1),
    };
  }

  stepQueue(step) {
    const orders = this.board.queue(this.view);
    const index = orders.findIndex((order) => order.id === this.view.orderId);
    const next = orders[Math.max(0, Math.min(orders.length - 1, index + step))];
    if (next) this.choose(next.id);
  }
}

function isUnderWay(order) {
  return order.status === "assigned" || order.status === "carrying";
}

function topButton(id, name, label, isPressed, onclick) {
  return h(
    "button",
    { type: "button", class: "icon-button", id, "aria-label": label, title: label, "aria-pressed": String(isPressed), onclick },
    icon(name),
  );
}
