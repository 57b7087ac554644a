/** The student's page: order in three steps, then one card and one map until it is there. */

import { $, coalesce, h, render } from "../dom.js";
import { now } from "../clock.js";
import { onLanguage, pick, read, remember, t, yuan } from "../i18n.js";
import { icon, typeIcon } from "../icons.js";
import { CampusMap } from "../map.js";
import { PALE_AFTER_S, positionAge, RunnerLayer, StopLayer, WayLayer } from "../map-layers.js";
import { boot } from "../session.js";
import { toast, topBar } from "../shell.js";
import { play } from "../sounds.js";
import { finishBinding } from "./bind.js";
import { Purse } from "./coupons.js";
import { emptyDraft, loadDraft } from "./draft.js";
import { OrderForm } from "./order-form.js";
import { orderList } from "./order-list.js";
import { isOpen, PayCard, PAYING } from "./pay.js";
import { PayWatch } from "./pay-watch.js";
import { StatusCard } from "./status-card.js";

const REFRESH_MS = 12_000;
const UNDER_WAY = new Set(["assigned", "carrying"]);
/** What students ask for most comes first; a campus's own kinds follow. */
const TYPE_ORDER = ["parcel", "meal", "shop", "carry", "queue", "help"];
const OVER = new Set(["settled", "closed", "confirmed", "delivered", "cancelled"]);

boot({
  slot: "track",
  needs: "orders.place",
  begin(session) {
    return new Track(session).begin();
  },
});

class Track {
  /** @param {import("../session.js").Session} session */
  constructor(session) {
    this.session = session;
    this.api = session.api;
    this.order = null;
    this.orders = [];
    this.position = null;
    this.unfollow = null;
    this.paint = coalesce(() => this.paintNow(), 60);
    this.form = new OrderForm({
      session,
      paint: this.paint,
      onPlaced: (order) => {
        this.payCard.fresh.add(order.id);
        this.open(order);
      },
      onLeave: () => this.home(),
    });
    this.payCard = new PayCard({
      api: this.api,
      paint: this.paint,
      refetch: () => this.refetch(),
      campus: session.campus,
    });
    this.purse = new Purse({ api: this.api, paint: this.paint });
    this.payWatch = new PayWatch({
      api: this.api,
      onPayment: (id, payment) => this.takePayment(id, payment),
      onReach: (isReached) => this.payCard.reach(isReached),
    });
    /** Orders of which the student was told that they are paid. */
    this.toldPaid = new Set();
    this.card = new StatusCard({
      api: this.api,
      payCard: this.payCard,
      paint: this.paint,
      onOrder: (order) => this.take(order),
      refetch: () => this.refetch(),
    });
  }

  async begin() {
    const { live, geojson } = this.session;
    this.map = new CampusMap($("#map"), geojson, {
      label: t("track.map"),
      onTap: (point) => this.form.tapMap(point, this.map),
    });
    this.ways = new WayLayer(this.map);
    this.runnerLayer = new RunnerLayer(this.map);
    this.stopLayer = new StopLayer(this.map);
    topBar({ page: "track", session: this.session });
    live.watch(() => this.paint());
    live.start();
    onLanguage(() => this.paint());
    setInterval(() => this.tick(), 1000);
    setInterval(() => this.order && UNDER_WAY.has(this.order.status) && !document.hidden && this.refetch(), REFRESH_MS);
    addEventListener("hashchange", () => this.goToAddress());
    await finishBinding(this.api);
    this.purse.load();
    await this.loadOrders();
    const draft = loadDraft();
    if (!this.goToAddress() && draft?.type) this.form.begin(draft);
    this.paint();
  }

  goToAddress() {
    // Whoever went away to pay comes back to what they paid, also where the provider names only the page.
    const left = read(PAYING);
    remember(PAYING, null);
    const id = new URLSearchParams(location.hash.slice(1)).get("order") ?? left;
    if (id && id !== this.order?.id) {
      this.api.get(`/orders/${id}`).then(
        (order) => this.open(order),
        () => this.home(),
      );
      return true;
    }
    return Boolean(id);
  }

  async loadOrders() {
    try {
      this.orders = (await this.api.get("/orders", { scope: "mine", limit: 20 })).orders;
    } catch (error) {
      console.warn("orders:", error.code);
    }
    this.paint();
  }

  // --- going about

  home() {
    this.unfollow?.();
    this.unfollow = null;
    this.order = null;
    this.position = null;
    this.payWatch.watch(null);
    history.replaceState(null, "", location.pathname);
    this.runnerLayer.clear();
    this.stopLayer.keepOnly(new Set());
    this.ways.clear();
    this.map.fit();
    this.loadOrders();
    this.purse.load();
  }

  open(order) {
    this.unfollow?.();
    this.runnerLayer.clear();
    this.ways.clear();
    this.stopLayer.keepOnly(new Set());
    this.form.draft = null;
    this.position = null;
    this.order = order;
    this.wayKey = "";
    history.replaceState(null, "", `${location.pathname}#order=${order.id}`);
    this.unfollow = this.session.live.follow(`order:${order.id}`, {
      onSnapshot: (data) => this.take(data),
      onEvent: (event) => this.hear(event),
      onPositions: ([position]) => this.move(position),
      onGone: () => this.move(null),
      onClosed: () => this.refetch(),
    });
    this.map.fitPoints(order.stops);
    this.take(order);
    requestAnimationFrame(() => document.getElementById("status-title")?.focus({ preventScroll: true }));
  }

  hear(event) {
    const { kind, data } = event;
    if (data.order_id !== this.order?.id) return;
    this.payWatch.heard();
    const key = `event.${kind}`;
    $("#spoken").textContent = t(key);
    if (kind === "order_paid") this.tellPaid(data.order_id);
    if (["task_assigned", "order_picked_up", "order_delivered"].includes(kind)) {
      play("good");
      toast(t(key), { kind: "good" });
    }
    if (kind === "runner_arriving" || kind === "runner_at_stop") {
      play("good");
      toast(t(`track.near.${data.stop_role}.${kind === "runner_arriving" ? "near" : "there"}`), { kind: "good" });
    }
    if (kind === "runner_arrived") toast(t("track.runner_there"), { kind: "good" });
    if (kind === "order_late") play("order_late");
    if (kind === "coupon_granted") this.purse.tell(data);
    this.refetch();
  }

  async refetch() {
    const id = this.order?.id;
    if (!id) return;
    try {
      const order = await this.api.get(`/orders/${id}`);
      if (this.order?.id === id) this.take(order);
    } catch (error) {
      console.warn("order:", error.code);
    }
  }

  take(order) {
    if (!this.order || order.id !== this.order.id || order.version < this.order.version) return;
    const wasUnpaid = this.order.status === "awaiting_payment";
    this.order = order;
    this.payWatch.watch(isOpen(order) ? order.id : null);
    if (wasUnpaid && order.status === "open") this.tellPaid(order.id);
    const place = order.runner?.position;
    if (place && (!this.position || this.position.at < place[2])) {
      this.position = { lat: place[0], lon: place[1], at: place[2], bearing: null };
    }
    if (!order.runner || OVER.has(order.status)) this.position = null;
    this.drawOrder();
    this.paint();
  }

  /** What the page asked for itself, while the hub was silent. */
  takePayment(id, payment) {
    if (this.order?.id !== id || this.order.status !== "awaiting_payment") return;
    if (JSON.stringify(payment) !== JSON.stringify(this.order.payment)) this.take({ ...this.order, payment });
    if (payment.state === "success") this.refetch();
  }

  /** Once, whoever heard of it first. */
  tellPaid(id) {
    remember(PAYING, null);
    if (this.toldPaid.has(id)) return;
    this.toldPaid.add(id);
    play("good");
    toast(t("event.order_paid"), { kind: "good" });
  }

  move(position) {
    if (!this.order || OVER.has(this.order.status)) return;
    this.position = position;
    this.drawRunner();
    if (position) this.ways.extend(position);
  }

  // --- drawing

  drawOrder() {
    const { order } = this;
    this.stopLayer.put(order.id, order.stops, { isJoined: order.stops.length > 1 && !UNDER_WAY.has(order.status) });
    this.drawRunner();
    this.drawWay();
  }

  drawRunner() {
    const { order, position } = this;
    if (!position) return this.runnerLayer.clear();
    const look = order.is_late ? "late" : "carrying";
    const isNew = !this.runnerLayer.markers.size;
    this.runnerLayer.put("runner", position, { look, text: order.is_late ? "!" : "", name: order.runner?.name ?? "" });
    if (isNew) this.map.fitPoints([...order.stops, position]);
  }

  /** The way is asked for with every change of the order and now and then: it bends with the runner. */
  async drawWay() {
    const { order } = this;
    if (!UNDER_WAY.has(order.status)) return this.ways.clear();
    const key = `${order.id}@${order.version}@${Math.floor(performance.now() / REFRESH_MS)}`;
    if (this.wayKey === key) return;
    this.wayKey = key;
    const track = await this.api.get(`/orders/${order.id}/track`).catch(() => null);
    if (track && this.order?.id === order.id && UNDER_WAY.has(this.order.status))
      this.ways.show(track.line?.length > 1 ? track.line : track.points, track.path);
  }

  tick() {
    this.runnerLayer.ageAll();
    if (this.order) this.paint();
  }

  // --- painting

  paintNow() {
    const view = this.form.draft ? "form" : this.order ? "order" : "home";
    document.body.dataset.view = view;
    const sheet = $("#sheet");
    const place = `${view} ${this.form.draft?.step ?? this.order?.id}`;
    if (this.painted !== place) sheet.scrollTop = 0;
    this.painted = place;
    if (view === "form") return render(sheet, this.form.view());
    if (view === "order") {
      const { live } = this.session;
      return render(
        sheet,
        h(
          "button",
          { type: "button", class: "link back", key: "back", onclick: () => this.home() },
          icon("back"),
          t("track.all_orders"),
        ),
        this.purse.given(this.order),
        this.card.view(this.order, {
          positionAge: this.position ? positionAge(this.position.at) : null,
          isConnected: live.state === "live",
          isStale: Boolean(this.position) && now() - this.position.at > PALE_AFTER_S * 1000,
        }),
      );
    }
    render(sheet, this.homeView());
  }

  homeView() {
    const { campus, account } = this.session;
    const running = this.orders.filter((order) => !OVER.has(order.status));
    const past = this.orders.filter((order) => OVER.has(order.status));
    const onOrder = (order) => this.open(order);
    return [
      h(
        "header",
        { class: "hello", key: "hello" },
        h("h1", {}, t("track.hello", { name: account.name })),
        h("p", { class: "muted" }, t("track.what")),
      ),
      !campus.is_open &&
        h(
          "p",
          { class: "note is-late", key: "closed" },
          icon("clock"),
          t("track.closed", { opens: campus.opens, closes: campus.closes }),
        ),
      orderList(running, { onOrder, title: t("track.running"), key: "running" }),
      this.purse.list(),
      h(
        "ul",
        { class: "types", key: "types", "aria-label": t("track.what") },
        inOrder(campus.types).map((type) =>
          h(
            "li",
            { key: type.code },
            h(
              "button",
              {
                type: "button",
                class: `type-tile card is-${type.code}`,
                onclick: () => this.form.begin(emptyDraft(type.code)),
              },
              h("span", { class: "type-sign" }, typeIcon(type.code)),
              h("b", {}, pick(type, "name")),
              h("small", { class: "muted" }, t("track.from", { price: yuan(type.base_fen) })),
            ),
          ),
        ),
      ),
      orderList(past, { onOrder, title: t("track.past"), key: "past" }),
      !this.orders.length && h("p", { class: "empty", key: "none" }, t("track.no_orders")),
    ];
  }
}

function inOrder(types) {
  const rank = ({ code }) => (TYPE_ORDER.includes(code) ? TYPE_ORDER.indexOf(code) : TYPE_ORDER.length);
  return [...types].sort((a, b) => rank(a) - rank(b));
}
