// The page of whoever rehearses: everything that happened here, newest first, and what shall go wrong.
import { ask, say, speak, yuan } from "/static/words.js";

const SHOWN = 50;
const LOOK_MS = 1500;
const find = (id) => document.querySelector(id);
const state = { orders: [], notices: [], rules: [], exchanges: [], transfers: [], open: [] };

const clock = (ms) => (ms ? new Date(ms).toLocaleTimeString() : "");

/** A table of rows; each cell is text, a number to align right, or an element. */
function table(id, heads, rows) {
  const target = find(id);
  // A button that is being pressed stays until it is let go, and the keyboard stays at the same place of the same table.
  if (target.querySelector(":active")) return;
  const place = [...target.querySelectorAll("button, a")].indexOf(document.activeElement);
  const line = (cells, tag) => {
    const row = document.createElement("tr");
    for (const cell of cells) {
      const made = document.createElement(tag);
      if (cell instanceof Node) made.append(cell);
      else made.textContent = cell;
      if (typeof cell === "string" && cell.startsWith("¥")) made.className = "number";
      row.append(made);
    }
    return row;
  };
  if (rows.length) target.replaceChildren(line(heads.map(say), "th"), ...rows.map((cells) => line(cells, "td")));
  else target.replaceChildren(line([say("none")], "td"));
  if (place >= 0) target.querySelectorAll("button, a")[place]?.focus();
}

function button(word, act) {
  const made = document.createElement("button");
  made.textContent = say(word);
  made.addEventListener("click", () => attempt(act));
  return made;
}

function link(word, href) {
  const made = document.createElement("a");
  made.textContent = say(word);
  made.href = href;
  made.target = "_blank";
  return made;
}

async function attempt(act) {
  try {
    await act();
    find("#said").textContent = "";
    await look();
  } catch (error) {
    find("#said").textContent = error.message;
  }
}

const pathOf = (thing) => [thing.institution, thing.merchant, thing.number].map(encodeURIComponent).join("/");

function ruleText({ fault }) {
  const named = { channel: "channel", operation: "op", order: "order", probability: "p", count: "count", skip: "skip", value: "value" };
  const usual = { channel: "*", operation: "*", order: "*", probability: 1, count: null, skip: 0, value: "" };
  const parts = Object.keys(named).filter((key) => fault[key] !== undefined && fault[key] !== usual[key]);
  return [fault.fault, ...parts.map((key) => `${named[key]}=${fault[key]}`)].join(" ");
}

function draw() {
  table("#faults", ["rule", "fired", ""], state.rules.map((rule) => [
    ruleText(rule), String(rule.fired), button("remove", () => ask(`/admin/faults/${rule.id}`, "DELETE")),
  ]));
  table("#orders", ["channel", "number", "description", "amount", "standing", "paid", "refunded", "split", "frozen", "charged", ""],
    state.orders.map((order) => [
      order.channel, order.number, order.description, yuan(order.amount_fen), say(order.standing), yuan(order.paid_fen),
      yuan(order.refunded_fen), yuan(order.split_fen), yuan(order.frozen_fen), String(order.times_charged),
      order.standing === "open" ? actions(order) : "",
    ]));
  table("#transfers", ["number", "to", "amount", "standing", ""], state.transfers.map((transfer) => [
    transfer.number, transfer.to, yuan(transfer.amount_fen), say(transfer.standing),
    transfer.standing === "waiting" ? button("agree", () => ask(`/admin/transfers/${pathOf(transfer)}/agree`, "POST", {})) : "",
  ]));
  table("#notices", ["time", "kind", "number", "url", "heard", "tries", "due", ""], state.notices.map((notice) => [
    clock(notice.queued_ms), notice.kind, notice.number, notice.url, say(notice.is_heard ? "yes" : "no"),
    notice.tries.map((one) => one.status || say("lost")).join(" "), clock(notice.due_ms),
    button("resend", () => ask(`/admin/notices/${notice.notice_id}/resend`, "POST", {})),
  ]));
  table("#exchanges", ["time", "channel", "operation", "number", "status", "faults"], state.exchanges.map((call) => [
    clock(call.at_ms), call.channel, call.operation, call.number, String(call.status || say("lost")), call.faults.join(" "),
  ]));
  find("#ports").replaceChildren(...["main", "backup"].map((port) => {
    const isOpen = state.open.includes(port);
    const made = button(port, () => ask("/admin/ports", "POST", { port, is_open: !isOpen }));
    made.textContent += `: ${say(isOpen ? "reachable" : "unreachable")}`;
    return made;
  }));
}

function actions(order) {
  const made = document.createElement("span");
  made.append(
    button("pay", () => ask(`/admin/orders/${pathOf(order)}/pay`, "POST", {})), " ", link("till", `/pay/${order.token}`));
  return made;
}

async function look() {
  const [orders, notices, faults, calls, transfers, ports] = await Promise.all([
    ask(`/admin/newest?limit=${SHOWN}`), ask(`/admin/notices?limit=${SHOWN}`), ask("/admin/faults"),
    ask(`/admin/exchanges?limit=${SHOWN}`), ask(`/admin/transfers?limit=${SHOWN}`), ask("/admin/ports"),
  ]);
  Object.assign(state, {
    orders: orders.orders, notices: notices.notices, rules: faults.rules, exchanges: calls.exchanges,
    transfers: transfers.transfers, open: ports.open,
  });
  if (!find("#known").childElementCount) {
    find("#known").replaceChildren(...Object.entries(faults.faults).map(([name, meaning]) => {
      const option = document.createElement("option");
      option.value = name;
      option.textContent = meaning;
      return option;
    }));
  }
  draw();
}

find("#fault").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = event.target.elements.text;
  attempt(async () => {
    await ask("/admin/faults", "POST", { text: field.value });
    field.value = "";
  });
});
find("#clear").addEventListener("click", () => attempt(() => ask("/admin/faults", "DELETE")));
find("#rotate").addEventListener("click", () => attempt(async () => {
  for (const institution of Object.keys(await ask("/admin/settings"))) {
    await ask(`/admin/rotate/${encodeURIComponent(institution)}`, "POST", {});
  }
}));

speak(draw);
look().catch((error) => { find("#said").textContent = error.message; });
setInterval(() => look().catch((error) => { find("#said").textContent = error.message; }), LOOK_MS);
