/** The runner's page: one thumb, one next action. */

import { $, coalesce, render } from "../dom.js";
import { now, timeScale } from "../clock.js";
import { clockTime, codeText, onLanguage, t } from "../i18n.js";
import { CampusMap } from "../map.js";
import { OwnPlaceLayer, RunnerLayer, StopLayer, WayLayer } from "../map-layers.js";
import { boot } from "../session.js";
import { toast, toastError, topBar } from "../shell.js";
import { play } from "../sounds.js";
import { Week } from "../week.js";
import { creditNews } from "../credit.js";
import { ActionQueue } from "./action-queue.js";
import { OwnCredit } from "./credit.js";
import { setPayoutAccount } from "./payout.js";
import { PositionSource } from "./position.js";
import { nextStep, nextStop, TaskCard } from "./task-card.js";
import { dutyBar, offlineBanner, tabButtons, tabView } from "./view.js";
import { cutAt } from "./way.js";
import { withdraw, withdrawalNews } from "./withdraw.js";

/** After these there may be more to take. */
const HALL_GROWS = new Set(["order_paid", "task_reopened", "order_called", "order_freed"]);
const OFFER_ENDS = new Set(["offer_expired", "offer_withdrawn", "offer_declined"]);
/** Real milliseconds between two looks at a wallet with money on its way. */
const WALLET_MS = 4000;

boot({
  slot: "runner",
  needs: "tasks.carry",
  acks: true,
  begin(session) {
    return new RunnerPage(session).begin();
  },
});

class RunnerPage {
  /** @param {import("../session.js").Session} session */
  constructor(session) {
    this.session = session;
    this.api = session.api;
    this.live = session.live;
    this.state = null;
    this.hall = null;
    this.wallet = null;
    this.tab = "now";
    this.busyId = null;
    this.chosenId = null;
    this.isAround = false;
    this.paint = coalesce(() => this.paintNow(), 60);
    this.position = new PositionSource({ onFix: (fix) => this.reportFix(fix), onChange: this.paint });
    this.queue = new ActionQueue({
      api: this.api,
      accountId: session.account.id,
      onAnswer: (order) => this.answered(order),
      onRefused: (error, action) => this.tapRefused(error, action),
      onChange: () => this.changed(),
    });
    this.credit = new OwnCredit({ api: this.api, paint: this.paint });
    this.week = new Week({ api: this.api, path: "/runner/plan", paint: this.paint });
    this.taskCard = new TaskCard({
      api: this.api,
      queue: this.queue,
      where: () => this.position.last,
      paint: this.paint,
      onError: toastError,
    });
  }

  async begin() {
    const { geojson, account, campus } = this.session;
    this.map = new CampusMap($("#map"), geojson, { label: t("runner.map") });
    this.ways = new WayLayer(this.map);
    this.own = new OwnPlaceLayer(this.map);
    this.dots = new RunnerLayer(this.map);
    this.stopLayer = new StopLayer(this.map);
    topBar({ page: "runner", session: this.session });
    this.live.watch(() => this.liveChanged());
    this.live.follow(`runner:${account.id}`, {
      onSnapshot: (state) => this.take(state),
      onEvent: (event) => this.hear(event),
    });
    this.live.follow(`hall:${campus.id}`, {
      onSnapshot: (hall) => ((this.hall = hall), this.paint()),
      onEvent: (event) => this.hearHall(event),
    });
    this.live.start();
    onLanguage(() => this.paint());
    setInterval(() => this.tick(), 500);
    // Whether a provider waits for the runner's yes, no event says.
    const isUnderWay = () => this.wallet?.withdrawals.some(({ state }) => state === "under_way");
    setInterval(() => this.tab === "wallet" && !document.hidden && isUnderWay() && this.loadWallet(), WALLET_MS);
    await this.refetch();
    this.queue.flush();
  }

  // --- what the server says

  liveChanged() {
    if (this.live.rhythm) this.position.rhythm.follow(this.live.rhythm);
    this.paint();
  }

  async refetch() {
    try {
      this.take(await this.api.get("/runner/state"));
    } catch (error) {
      console.warn("state:", error.code);
    }
  }

  take(state) {
    const known = new Set((this.state?.offers ?? []).map((offer) => offer.id));
    const isNewOffer = state.offers.some((offer) => !known.has(offer.id));
    this.state = state;
    this.position.vehicle = state.vehicle;
    if (state.is_on_duty && !this.position.isOn) this.startPosition();
    if (!state.is_on_duty && !state.orders.length) this.position.stop();
    if (isNewOffer) this.greetOffer();
    this.changed();
  }

  hear({ kind, data }) {
    if (kind === "task_offered" && data.offer && this.state) {
      this.state = { ...this.state, offers: [...this.offersBut(data.offer.id), data.offer] };
      this.greetOffer();
      return this.changed();
    }
    const ended = this.state?.offers.find((offer) => offer.order_id === data.order_id);
    if (OFFER_ENDS.has(kind) && ended) {
      this.state = { ...this.state, offers: this.offersBut(ended.id) };
      if (kind === "offer_expired") toast(t("offer.expired"));
      if (kind === "offer_withdrawn") toast(t("offer.withdrawn"));
    }
    if (data.taken_away) toast(t("task.taken_away", { code: data.code }), { kind: "bad", seconds: 15 });
    if (kind === "task_reassigned" && !data.taken_away) toast(t("task.given", { code: data.code }), { kind: "good" });
    if (kind === "order_cancelled") toast(t("task.cancelled", { code: data.code }), { kind: "bad", seconds: 15 });
    if (kind === "runner_at_stop") {
      play("good");
      navigator.vibrate?.(150);
    }
    if (kind === "order_late") {
      toast(t("task.delay_told", { code: data.code, at: clockTime(data.expected_ms) }), { kind: "bad", seconds: 15 });
    }
    if (kind === "order_settled" || kind === "order_confirmed" || kind === "order_delivered") this.wallet = null;
    if (kind.startsWith("withdrawal_")) {
      toast(withdrawalNews(kind, data), { kind: kind === "withdrawal_failed" ? "bad" : "good", seconds: 10 });
    }
    if (kind === "credit_changed") toast(creditNews(data), { kind: data.delta < 0 ? "bad" : "good", seconds: 10 });
    this.refetch();
    if (this.tab === "wallet") this.loadWallet();
    if (this.tab === "credit") this.credit.load();
  }

  hearHall({ kind, data }) {
    if (!this.hall) return;
    if (kind === "order_called") this.called(data.order_id);
    if (HALL_GROWS.has(kind)) return this.loadHall();
    this.hall = { ...this.hall, items: this.hall.items.filter((item) => item.order_id !== data.order_id) };
    this.paint();
  }

  /** Nobody has come for an order: whoever is free hears of it. */
  called(orderId) {
    this.calledId = orderId;
    if (!this.state?.is_on_duty || this.state.orders.length || this.state.excluded) return;
    play("offer");
    toast(t("hall.called"), { seconds: 10, action: { label: t("runner.tab.hall"), run: () => this.show("hall") } });
  }

  loadHall() {
    clearTimeout(this.hallTimer);
    this.hallTimer = setTimeout(async () => {
      this.hall = await this.api.get("/runner/hall").catch(() => this.hall);
      this.paint();
    }, 400);
  }

  async loadWallet() {
    this.wallet = await this.api.get("/runner/wallet").catch(() => this.wallet);
    this.paint();
  }

  async withdraw() {
    if (await withdraw(this.api, this.wallet)) await this.loadWallet();
  }

  async setAccount() {
    if (await setPayoutAccount(this.api)) await this.loadWallet();
  }

  offersBut(id) {
    return this.state.offers.filter((offer) => offer.id !== id);
  }

  greetOffer() {
    play("offer");
    navigator.vibrate?.([200, 100, 200]);
    this.tab = "now";
    const stops = this.state.offers.flatMap((offer) => offer.stops);
    this.map.fitPoints([...stops, this.position.last].filter(Boolean));
    requestAnimationFrame(() => document.querySelector(".offer .accept")?.focus({ preventScroll: true }));
  }

  answered(order) {
    if (this.state) {
      const isOver = !["assigned", "carrying"].includes(order.status);
      const others = this.state.orders.filter((other) => other.id !== order.id);
      this.state = { ...this.state, orders: isOver ? others : [order, ...others] };
      if (order.status === "delivered") {
        toast(t("task.delivered", { code: order.code }), { kind: "good" });
        play("good");
      }
    }
    this.refetch();
  }

  /** A tap that the server will never take: say which one and why, and show what is true. */
  tapRefused(error, { code, act }) {
    const what = t(`task.act.${act}`);
    const reason = codeText("error", error.code, error.message);
    toast(t("task.refused", { code: code ?? "", what, reason }), { kind: "bad", seconds: 15 });
    this.refetch();
  }

  // --- what the runner does

  async setDuty(isOn) {
    this.busyId = "duty";
    this.paint();
    try {
      this.take(await this.api.post("/runner/duty", { is_on: isOn, vehicle: this.state?.vehicle ?? "walk" }));
      if (isOn) this.startPosition();
    } catch (error) {
      toastError(error);
    }
    this.busyId = null;
    this.paint();
  }

  async setVehicle(vehicle) {
    try {
      this.take(await this.api.post("/runner/duty", { is_on: this.state.is_on_duty, vehicle }));
    } catch (error) {
      toastError(error);
    }
  }

  async actOnOffer(offer, act, body = {}) {
    this.busyId = offer.id;
    this.paint();
    try {
      const order = await this.api.post(`/offers/${offer.id}/${act}`, body);
      if (act === "accept") {
        this.chosenId = order.id;
        this.answered(order);
      }
    } catch (error) {
      toastError(error);
    }
    this.busyId = null;
    this.state = { ...this.state, offers: this.offersBut(offer.id) };
    this.refetch();
  }

  async grab(item) {
    this.busyId = item.order_id;
    this.paint();
    try {
      const order = await this.api.post(`/orders/${item.order_id}/grab`, {});
      this.chosenId = order.id;
      this.tab = "now";
      toast(t("hall.grabbed"), { kind: "good" });
      this.answered(order);
    } catch (error) {
      toastError(error);
      this.loadHall();
    }
    this.busyId = null;
    this.paint();
  }

  // --- position

  get isDemo() {
    return timeScale() !== 1;
  }

  startPosition() {
    if (this.isDemo) this.walk();
    else this.position.useDevice();
  }

  /** Somewhere sensible to stand: near the campus's first quick place, never twice the same for two runners. */
  async walk() {
    const { campus, account, api } = this.session;
    const places = await api.get(`/campuses/${campus.id}/places`, { limit: 8 }).catch(() => []);
    const digit = account.id.charCodeAt(account.id.length - 1);
    this.position.useWalker(places.length ? places[digit % places.length] : campus);
    this.changed();
  }

  reportFix(fix) {
    this.live.fixes.report(fix);
  }

  get current() {
    const orders = (this.state?.orders ?? [])
      .map((order) => this.queue.project(order))
      .filter((order) => nextStep(order));
    return (
      // The server says which stop is next.
      orders.find((order) => order.id === this.chosenId) ?? orders[0] ?? null
    );
  }

  /** Something about the orders changed: draw the stops, and ask for the way to the next one. */
  async changed() {
    this.paint();
    if (!this.state || !this.map) return;
    const { offers } = this.state;
    const asked = offers.map((offer) => ({ id: offer.order_id, stops: offer.stops }));
    const shown = asked.length ? asked : this.current ? [this.current] : [];
    this.stopLayer.keepOnly(new Set(shown.map((order) => order.id)));
    for (const order of shown) this.stopLayer.put(order.id, order.stops, { isJoined: asked.length > 0 });
    await this.drawWay();
  }

  /** Nothing to walk to: the map shows where the runner stands, once, and then is theirs again. */
  lookAround() {
    const isFree = Boolean(this.state) && !this.state.offers.length && !this.current;
    if (isFree && !this.isAround && this.position.last) {
      this.map.fitPoints([this.position.last], { maxZoom: 16.5 });
      this.isAround = true;
    }
    if (!isFree) this.isAround = false;
  }

  async drawWay() {
    const order = this.current;
    const key = order ? `${order.id}/${order.task_status}/${this.position.state}` : "";
    if (this.wayKey === key) return;
    this.wayKey = key;
    const isMoving = order && ["arrived_pickup", "arrived_dropoff", "arrived_place"].includes(nextStep(order));
    if (!isMoving) {
      this.position.setWay([]);
      return this.ways.clear();
    }
    const stop = nextStop(order);
    const track = await this.api.get(`/orders/${order.id}/track`).catch(() => null);
    if (this.wayKey !== key) return;
    const way = cutAt(track?.path ?? [], stop);
    this.ways.show([], way);
    if (this.position.state === "walking") this.position.setWay(way);
    this.map.fitPoints([stop, this.position.last].filter(Boolean));
  }

  tick() {
    const { last } = this.position;
    if (last) {
      const look = this.current ? "carrying" : "idle";
      this.dots.put("me", { ...last, bearing: null }, { look, text: "", name: t("runner.you") });
      this.own.show(last, last.acc);
    }
    this.lookAround();
    const isOver = (offer) => now() >= offer.expires_at_ms + 1000 * timeScale();
    if (this.state?.offers.some(isOver)) {
      this.state = { ...this.state, offers: this.state.offers.filter((offer) => !isOver(offer)) };
      this.refetch();
    }
    this.paint();
  }

  // --- painting

  paintNow() {
    const { state } = this;
    if (!state) return;
    document.body.dataset.duty = state.is_on_duty ? "on" : "off";
    render($("#banner"), offlineBanner(this));
    render($("#sheet"), dutyBar(this), tabView(this));
    render($("#tabs"), tabButtons(this));
  }

  show(tab) {
    this.tab = tab;
    if (tab === "wallet") this.loadWallet();
    if (tab === "credit") this.credit.load();
    if (tab === "week" && !this.week.changed) this.week.load();
    if (tab === "hall" && !this.hall) this.loadHall();
    this.paint();
  }
}
