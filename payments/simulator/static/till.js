// The till: one order, and what a student does with it.
import { ask, say, speak, yuan } from "/static/words.js";

const find = (id) => document.querySelector(id);
let order;
let said = "";

function draw() {
  if (!order) return;
  find("#till").hidden = false;
  find("#channel").textContent = order.channel;
  find("#description").textContent = order.description;
  find("#amount").textContent = yuan(order.amount_fen);
  find("#number").textContent = order.number;
  for (const button of document.querySelectorAll("[data-how]")) button.disabled = order.standing === "paid";
  find("#said").textContent = said ? say(`said_${said}`) : order.standing === "open" ? "" : say(`said_${order.standing}`);
}

async function load() {
  order = await ask(`${location.pathname}/order`);
  draw();
}

for (const button of document.querySelectorAll("[data-how]")) {
  button.addEventListener("click", async () => {
    try {
      said = (await ask(location.pathname, "POST", { how: button.dataset.how })).result;
      await load();
    } catch (error) {
      find("#said").textContent = error.message;
    }
  });
}

speak(draw);
load().catch((error) => { find("#said").textContent = error.message; });
