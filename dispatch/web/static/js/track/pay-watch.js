/** Asks how a payment stands while it is open and the hub is silent: a result is told at once, whoever hears it first. */

/** Real milliseconds between two questions, and since the hub's last word. */
export const ASK_EVERY_MS = 500;

export class PayWatch {
  /**
   * @param {object} parts
   * @param {import("../api.js").Api} parts.api
   * @param {(orderId: string, payment: import("../types.js").Payment) => void} parts.onPayment
   * @param {(isReached: boolean) => void} parts.onReach whether the server could be asked
   */
  constructor({ api, onPayment, onReach }) {
    Object.assign(this, { api, onPayment, onReach });
    this.timer = 0;
    /** @type {string | null} */
    this.orderId = null;
    const wake = () => this.orderId && this.askSoon(0);
    document.addEventListener("visibilitychange", () => !document.hidden && wake());
    addEventListener("online", wake);
  }

  /** Watch this order's payment, or none. @param {string | null} orderId */
  watch(orderId) {
    if (this.orderId === orderId) return;
    this.orderId = orderId;
    clearTimeout(this.timer);
    if (orderId) this.askSoon();
  }

  /** The hub has spoken of it: the next question can wait. */
  heard() {
    if (this.orderId) this.askSoon();
  }

  askSoon(delay = ASK_EVERY_MS) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), delay);
  }

  async ask() {
    const id = this.orderId;
    if (!id) return;
    // Whoever pays in another app or tab looks at nothing here; coming back asks at once.
    if (!document.hidden) {
      try {
        const payment = await this.api.callOnce("GET", `/orders/${id}/payment`);
        if (this.orderId === id) this.onPayment(id, payment);
        this.onReach(true);
      } catch (error) {
        if (error.status === 401) await this.api.get("/me").catch(() => null);
        this.onReach(!error.isOutage);
      }
    }
    if (this.orderId === id) this.askSoon();
  }
}
