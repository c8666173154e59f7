// A WebSocket that reconnects by itself and reports its state, and the outbox for its frames.

import { post } from "./forms.js";
import { ask, person } from "./person.js";
import { say } from "./words.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
const QUIET = 20_000; // ms without a frame from the server, then ping
const DEAD = 10_000; // ms without a reply to the ping, then reconnect
const AGAIN = 15_000; // ms without an acknowledgement, then send the frame again
const MANY_TRIES = 3;
const TOKEN = "[name=csrfmiddlewaretoken]";

const SIGNED_OUT = 4401;
const NOT_ALLOWED = 4403;
// Reasons by close code, shown beside the state while reconnecting.
const REASONS = { 1012: "restarting", 4408: "idle", 4429: "tooFast", 4503: "away" };

/**
 * Events: `open`, `frame` (detail: the frame), `state` (detail `{name, reason, seconds, person}`).
 * The name of a state is connecting, connected, waiting or offline; or a refusal: signedOut,
 * expired (the sign-in at a proxy), otherPerson (`person` is signed in instead) or notAllowed.
 */
export class Connection extends EventTarget {
  #socket = null;
  #refused = ""; // the name of a refusal
  #isRetry = false; // trying once more after SIGNED_OUT
  #signedInAs = ""; // the name of the other person who is signed in now
  #reason = "";
  #tries = 0;
  #reconnectAt = 0;
  #heard = 0;
  #asked = 0;
  #isProven = false; // a frame has come on this socket since the browser last went offline
  #address;
  #query;

  /** @param query a function that returns the URL parameters of the next attempt */
  constructor(address, query) {
    super();
    this.#address = address;
    this.#query = query;
    addEventListener("online", () => this.tryNow());
    addEventListener("offline", () => {
      this.#isProven = false;
      this.#show();
    });
    addEventListener("otherperson", () => this.#openAnew());
    addEventListener("pageshow", (event) => event.persisted && this.tryNow());
    document.addEventListener("visibilitychange", () => !document.hidden && this.tryNow());
    setInterval(() => this.#watch(), 1000);
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Connect now; an existing socket is checked by a ping. */
  tryNow() {
    if (this.#refused === "notAllowed") return;
    if (this.#socket) return this.#ask();
    this.#refused = "";
    this.#signedInAs = "";
    this.#reconnectAt = 0;
    this.#asked = 0;
    this.#isProven = false;
    const url = new URL(this.#address, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.search = new URLSearchParams({ extended: true, for: person, ...this.#query() });
    const socket = new WebSocket(url);
    let isOpened = false;
    this.#socket = socket;
    this.#heard = Date.now();
    socket.onopen = () => {
      isOpened = true;
      this.#opened();
    };
    socket.onmessage = (event) => this.#receive(event);
    socket.onclose = (event) => this.#closed(socket, event.code, isOpened);
    this.#show();
  }

  /** Send a frame; false if there is no connection to send it on. */
  send(frame) {
    if (!this.isOpen) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Disconnect, as the person is signed out: each attempt would fail until they sign in. */
  signedOut() {
    this.#drop();
    this.#refused = "signedOut";
    this.#show();
  }

  #opened() {
    this.#reason = "";
    this.#show();
    // Send a frame at once: the server tells a signed-out person so only at the first frame.
    this.send({ type: "ping_message" });
    this.dispatchEvent(new Event("open"));
  }

  #receive(event) {
    this.#heard = Date.now();
    this.#asked = 0;
    // Only a received frame proves the connection: a server may close it right after opening.
    this.#tries = 0;
    if (!this.#isProven) {
      this.#isProven = true;
      this.#isRetry = false;
      this.#show();
    }
    const frame = JSON.parse(event.data);
    this.#signedInAs = frame.details?.signed_in_as ?? "";
    if (frame.type === "database_message") {
      this.#reason = frame.away ? "away" : "";
      this.#show();
    }
    this.dispatchEvent(new CustomEvent("frame", { detail: frame }));
  }

  #closed(socket, code, isOpened) {
    if (socket !== this.#socket) return;
    const isProven = this.#isProven;
    this.#drop();
    this.#reason = REASONS[code] ?? "";
    if (code === NOT_ALLOWED) this.#refused = "notAllowed";
    else if (code === SIGNED_OUT && this.#signedInAs) this.#refused = "otherPerson";
    // Retry a connection that has worked once: the session may have a new key.
    else if (code === SIGNED_OUT && (this.#isRetry || !isProven)) this.#refused = "signedOut";
    if (code === SIGNED_OUT) this.#isRetry = !this.#refused;
    if (this.#refused) return this.#show();
    this.#wait();
    if (!isOpened && this.#tries >= MANY_TRIES) this.#lookWhetherExpired();
  }

  /** Reconnect after a request was refused as another person's; the server then names them. */
  #openAnew() {
    if (this.#refused) return;
    this.#drop();
    this.tryNow();
  }

  /** Check whether the sign-in at a proxy has expired: handshakes fail, and pages redirect. */
  async #lookWhetherExpired() {
    const headers = { "X-Background": "1", "X-For": person };
    const options = { redirect: "manual", headers };
    const { type, status } = await fetch(location.href, options).catch(() => ({}));
    if (this.isOpen || !(type === "opaqueredirect" || status === 401 || status === 403)) return;
    this.#drop();
    this.#refused = "expired";
    this.#show();
  }

  /** Reconnect after a while, even if the browser claims to be offline, which may be wrong. */
  #wait() {
    const most = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#tries);
    this.#tries = Math.min(this.#tries + 1, 10);
    this.#reconnectAt = Date.now() + most * (0.5 + Math.random() / 2);
    this.#show();
    setTimeout(() => this.#watch(), this.#reconnectAt - Date.now());
  }

  /** Called each second: count down, reconnect, and check whether the server still replies. */
  #watch() {
    const now = Date.now();
    if (this.#reconnectAt) {
      if (now >= this.#reconnectAt) this.tryNow();
      else this.#show();
      return;
    }
    const asked = this.#asked || this.#heard + QUIET;
    if (!this.#socket || now <= asked) return;
    // Timers of a hidden page run once a minute, so silence alone does not mean a dead connection.
    if (this.isOpen && !this.#asked) this.#ask();
    else if (now - asked > DEAD) {
      this.#drop();
      this.#wait();
    }
  }

  #ask() {
    if (!this.#asked && this.send({ type: "ping_message" })) this.#asked = Date.now();
    this.#show();
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.#reconnectAt = 0;
    this.#reason = "";
    socket?.close();
  }

  /** Return the name of the state, by the socket and the browser's `onLine`. */
  #name() {
    if (this.#refused) return this.#refused;
    // A socket may work although the browser claims to be offline: received frames count for more.
    if (this.isOpen && (navigator.onLine || this.#isProven)) return "connected";
    if (this.#socket && (!this.isOpen || this.#asked)) return "connecting";
    return navigator.onLine ? "waiting" : "offline";
  }

  #show() {
    const seconds = Math.max(1, Math.ceil((this.#reconnectAt - Date.now()) / 1000));
    const [name, reason] = [this.#name(), this.#reason];
    const detail = { name, reason, seconds, person: this.#signedInAs };
    this.dispatchEvent(new CustomEvent("state", { detail }));
  }
}

/** Return a random id; `crypto.randomUUID` is missing on pages without HTTPS. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * The frames that the server has not yet acknowledged. They are sent again after a reconnect: each
 * has an id, and the server takes a frame of the same id once.
 */
export class Outbox {
  #waiting = new Map();
  #connection;

  constructor(connection) {
    this.#connection = connection;
    connection.addEventListener("open", () => this.#sendAll());
    connection.addEventListener("frame", (event) => this.#take(event.detail));
    setInterval(() => this.#sendAll(AGAIN), 1000);
  }

  /**
   * Send a frame, now or when connected. Resolves to the server's reply, an `ack_message` or an
   * `error_message`, or to null after `cancel`.
   */
  deliver(frame) {
    return new Promise((resolve) => {
      const item = { frame, resolve, sentAt: 0 };
      this.#waiting.set(frame.id, item);
      this.#send(item);
    });
  }

  /**
   * Post a form's data until the server replies; the server takes the same answer once.
   * Resolves to the reply; `tell` is called with words about the progress.
   */
  async post(form, body, tell, tries = 0) {
    tell(say("sending"));
    let said = await post(form, body);
    // The page has the CSRF token of an earlier session.
    if (said.status === 403 && (await renewToken(body))) said = await post(form, body);
    if (!said.passes) return said;
    if (said.isSignedOut) this.#connection.signedOut();
    tell(said.isSignedOut ? said.error : say("willSend"));
    await this.#until(Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** tries));
    return this.post(form, body, tell, tries + 1);
  }

  /** Wait for some time, at most until the connection opens or the browser is online. */
  #until(wait) {
    const over = new AbortController(); // removes the listeners in the end
    const options = { signal: over.signal };
    return new Promise((resolve) => {
      this.#connection.addEventListener("open", resolve, options);
      addEventListener("online", resolve, options);
      setTimeout(resolve, wait * (0.5 + Math.random() / 2));
    }).finally(() => over.abort());
  }

  /** Stop sending a frame again; the server may have it already. */
  cancel(id) {
    this.#settle(id, null);
  }

  #send(item) {
    if (this.#connection.send(item.frame)) item.sentAt = Date.now();
  }

  #sendAll(after = 0) {
    for (const item of this.#waiting.values()) {
      if (!after || (item.sentAt && Date.now() - item.sentAt > after)) this.#send(item);
    }
  }

  #take(frame) {
    // The reply to a frame has the frame's id in `for`; the error of a run has no `for`.
    if (frame.type === "ack_message" || frame.type === "error_message") {
      this.#settle(frame.for, frame);
    }
  }

  #settle(id, word) {
    const item = this.#waiting.get(id);
    if (!item) return;
    this.#waiting.delete(id);
    item.resolve(word);
  }
}

/** Put a fresh CSRF token into all forms and `body`; returns whether the server gave one. */
async function renewToken(body) {
  const response = await ask(location.href, { headers: { "X-Background": "1" } }).catch(() => null);
  const html = response?.ok && !response.redirected ? await response.text() : "";
  const fresh = new DOMParser().parseFromString(html, "text/html").querySelector(TOKEN);
  if (!fresh) return false;
  for (const field of document.querySelectorAll(TOKEN)) field.value = fresh.value;
  body.set(fresh.name, fresh.value);
  return true;
}
