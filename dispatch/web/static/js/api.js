/** HTTP to the server: one caller per page with its own session slot, and errors as one type. */

const BASE = "/api/v1";
const TIMEOUT_MS = 15_000;
const RETRY_DELAYS_MS = [300, 1200];

/** What the server refused, or could not do. `code` is stable; `field` names the input at fault. */
export class ApiError extends Error {
  constructor(status, code, message, field = null, detail = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field;
    this.detail = detail;
  }

  /** The server could not be reached or broke down: the same request may succeed in a minute. */
  get isOutage() {
    return this.status === 0 || this.status >= 500;
  }
}

/** A key under which a repeated request is the same request. */
export function newKey() {
  return crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), hex).join("");
}

const hex = (byte) => byte.toString(16).padStart(2, "0");

function cookie(name) {
  const found = document.cookie.split("; ").find((part) => part.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : null;
}

export class Api {
  /** @param {string} slot whose session of this browser: several people may use one browser, one per page */
  constructor(slot) {
    this.slot = slot;
    this.csrf = "";
    /** Called once when the session is over and cannot be refreshed. */
    this.onSignedOut = () => {};
    this.refreshing = null;
  }

  /** @param {Record<string, any>} [query] */
  get(path, query) {
    const pairs = Object.entries(query ?? {}).filter(([, value]) => value !== null && value !== undefined);
    const search = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
    return this.call("GET", search ? `${path}?${search}` : path);
  }

  /** @param {{key?: string}} [options] `key`: idempotency key; with it a lost answer is asked for again */
  post(path, body = {}, options = {}) {
    return this.call("POST", path, body, options);
  }

  patch(path, body) {
    return this.call("PATCH", path, body);
  }

  /** Send bytes (a photo). */
  upload(path, blob, options = {}) {
    return this.call("POST", path, blob, options);
  }

  /** Fetch a photo as an address that an image can show; an image itself could not say whose session it is. */
  async picture(path) {
    const response = await fetch(BASE + path, { headers: { "X-Session-Slot": this.slot }, credentials: "same-origin" });
    if (!response.ok) throw new ApiError(response.status, "no_picture", response.statusText);
    return URL.createObjectURL(await response.blob());
  }

  /** Take over what a sign-in answered. */
  adopt(session) {
    this.csrf = session.csrf_token ?? "";
    return session.account;
  }

  async call(method, path, body, options = {}) {
    const isRepeatable = method === "GET" || Boolean(options.key);
    for (let tries = 0; ; tries += 1) {
      try {
        return await this.callOnce(method, path, body, options);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        // A wrong password is a 401 as well, and no reason to ask for another session.
        const isSessionOver = error.status === 401 && error.code === "not_signed_in";
        if (isSessionOver && !options.isSecond && (await this.refresh())) {
          return this.call(method, path, body, { ...options, isSecond: true });
        }
        if (isSessionOver) this.onSignedOut();
        if (!isRepeatable || !error.isOutage || tries >= RETRY_DELAYS_MS.length || !navigator.onLine) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_DELAYS_MS[tries] * (0.5 + Math.random())));
      }
    }
  }

  async callOnce(method, path, body, { key } = {}) {
    const headers = { "X-Session-Slot": this.slot, Accept: "application/json" };
    const init = { method, headers, credentials: "same-origin", signal: AbortSignal.timeout(TIMEOUT_MS) };
    if (method !== "GET") {
      // The cookie first: another tab of this slot may have begun a session since this page heard of one.
      headers["X-CSRF-Token"] = cookie(`dispatch_csrf_${this.slot}`) || this.csrf;
      if (body instanceof Blob) headers["Content-Type"] = body.type;
      else headers["Content-Type"] = "application/json";
      init.body = body instanceof Blob ? body : JSON.stringify(body ?? {});
    }
    if (key) headers["Idempotency-Key"] = key;
    let response;
    try {
      response = await fetch(BASE + path, init);
    } catch {
      throw new ApiError(0, "unreachable", "the server cannot be reached");
    }
    if (response.status === 204) return null;
    const text = await response.text().catch(() => "");
    let answer;
    try {
      answer = text ? JSON.parse(text) : null;
    } catch {
      answer = null;
    }
    if (response.ok) return answer;
    const error = answer?.error ?? {};
    throw new ApiError(
      response.status,
      error.code ?? "failed",
      error.message ?? response.statusText,
      error.field,
      error.detail,
    );
  }

  /** Exchange the refresh cookie; several callers at once share one exchange, since a spent token ends the session. */
  refresh() {
    this.refreshing ??= this.refreshShared().finally(() => {
      this.refreshing = null;
    });
    return this.refreshing;
  }

  async refreshShared() {
    // Two tabs of one slot would both spend the same token: the second waits and finds itself signed in already.
    if (!navigator.locks) return this.exchange();
    return this.alone(async () => {
      try {
        await this.callOnce("GET", "/me");
        return true;
      } catch (error) {
        if (error instanceof ApiError && error.status !== 401) throw error;
        return this.exchange();
      }
    });
  }

  /** Whether the session stands, by the one question that no cache answers; an outage is thrown. */
  renew() {
    return this.alone(() => this.exchange());
  }

  /** One tab of this slot at a time. */
  alone(work) {
    return navigator.locks ? navigator.locks.request(`dispatch.refresh.${this.slot}`, work) : work();
  }

  async exchange() {
    try {
      this.adopt(await this.callOnce("POST", "/auth/refresh", {}));
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.isOutage) throw error;
      return false;
    }
  }
}
