/** Dragging an order onto a runner, in the list or on the map, with the cost shown while it hangs there. */

import { h } from "../dom.js";

export class OrderDrag {
  /**
   * @param {object} parts
   * @param {import("./reassign.js").Reassigner} parts.reassigner
   * @param {import("../map-layers.js").RunnerLayer} parts.runnerLayer
   * @param {HTMLElement} parts.mapElement
   * @param {(orderId: string, runnerId: string) => void} parts.onDrop
   */
  constructor({ reassigner, runnerLayer, mapElement, onDrop }) {
    Object.assign(this, { reassigner, runnerLayer, onDrop });
    this.orderId = null;
    this.label = h("div", { class: "drag-label", hidden: true, role: "status" });
    document.body.append(this.label);
    mapElement.addEventListener("dragover", (event) =>
      this.over(event, runnerLayer.nearestTo(event.clientX, event.clientY)),
    );
    mapElement.addEventListener("drop", (event) =>
      this.drop(event, runnerLayer.nearestTo(event.clientX, event.clientY)),
    );
    mapElement.addEventListener("dragleave", (event) => this.leave(event));
  }

  begin(event, order) {
    this.orderId = order.id;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", order.code);
    document.body.classList.add("is-dragging");
    this.reassigner.fetchOptions(order.id);
  }

  over(event, runnerId) {
    if (!this.orderId) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = runnerId ? "move" : "none";
    this.label.hidden = !runnerId;
    this.label.style.setProperty("--x", `${event.clientX}px`);
    this.label.style.setProperty("--y", `${event.clientY}px`);
    if (runnerId) this.label.textContent = this.reassigner.costLine(this.orderId, runnerId);
    this.runnerLayer.choose(runnerId);
  }

  leave(event) {
    if (!event.currentTarget.contains(event.relatedTarget)) this.label.hidden = true;
  }

  drop(event, runnerId) {
    if (!this.orderId) return;
    event.preventDefault();
    if (runnerId) this.onDrop(this.orderId, runnerId);
    this.end();
  }

  end() {
    this.orderId = null;
    this.label.hidden = true;
    document.body.classList.remove("is-dragging");
  }
}
