// One socket that comes back by itself, and says in what state it is; and what is sent over it.

import { post } from "./forms.js";
import { ask, person } from "./person.js";
import { say } from "./words.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
const QUIET = 20_000; // nothing heard for so long: ask
const DEAD = 10_000; // asked, and nothing heard for so long: begin anew
const AGAIN = 15_000; // sent, and not acknowledged for so long: send again
const MANY_TRIES = 3;
const TOKEN = "[name=csrfmiddlewaretoken]";

const SIGNED_OUT = 4401;
const NOT_ALLOWED = 4403;
// Said in words beside the state, while it reconnects.
const REASONS = { 1012: "restarting", 4408: "idle", 4429: "tooFast", 4503: "away" };

/**
 * Events: `state` (detail `{name, reason, seconds, person}`, name connecting, connected, waiting,
 * offline, or one of the refusals: signedOut; expired, by a proxy before the server; otherPerson,
 * who is named; notAllowed), `open`, and `frame` (detail: the frame).
 */
export class Connection extends EventTarget {
  #socket = null;
  #refused = ""; // one of the refusals
  #isRetry = false; // the last refusal was not believed
  #signedInAs = ""; // who is signed in, where that is somebody else
  #reason = "";
  #tries = 0;
  #reconnectAt = 0;
  #heard = 0;
  #asked = 0;
  #isProven = false; // heard on this socket since the browser last went offline
  #address;
  #query;

  /** @param query a function that returns the parameters of the address for the next try */
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

  /** Connect now; where a socket is there, ask whether it holds. */
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

  /** The person is signed out: no try will help before they sign in. */
  signedOut() {
    this.#drop();
    this.#refused = "signedOut";
    this.#show();
  }

  #opened() {
    this.#reason = "";
    this.#show();
    // Who is signed out is told so at the first message, and is else waited for.
    this.send({ type: "ping_message" });
    this.dispatchEvent(new Event("open"));
  }

  #receive(event) {
    this.#heard = Date.now();
    this.#asked = 0;
    // Only what is heard shows that the connection holds: a server may close right after opening.
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
    // What was in use is tried once more: the session may go on under another key.
    else if (code === SIGNED_OUT && (this.#isRetry || !isProven)) this.#refused = "signedOut";
    if (code === SIGNED_OUT) this.#isRetry = !this.#refused;
    if (this.#refused) return this.#show();
    this.#wait();
    if (!isOpened && this.#tries >= MANY_TRIES) this.#lookWhetherExpired();
  }

  /** A request was refused as another person's: the server says whose this browser is now. */
  #openAnew() {
    if (this.#refused) return;
    this.#drop();
    this.tryNow();
  }

  /** A proxy that lets this person in no more fails all handshakes, and sends pages elsewhere. */
  async #lookWhetherExpired() {
    const headers = { "X-Background": "1", "X-For": person };
    const options = { redirect: "manual", headers };
    const { type, status } = await fetch(location.href, options).catch(() => ({}));
    if (this.isOpen || !(type === "opaqueredirect" || status === 401 || status === 403)) return;
    this.#drop();
    this.#refused = "expired";
    this.#show();
  }

  /** Try again after a while, also where the browser says that it is offline, which may be wrong. */
  #wait() {
    const most = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#tries);
    this.#tries = Math.min(this.#tries + 1, 10);
    this.#reconnectAt = Date.now() + most * (0.5 + Math.random() / 2);
    this.#show();
    setTimeout(() => this.#watch(), this.#reconnectAt - Date.now());
  }

  /** Once a second: count down, reconnect, and find out whether the other side is still there. */
  #watch() {
    const now = Date.now();
    if (this.#reconnectAt) {
      if (now >= this.#reconnectAt) this.tryNow();
      else this.#show();
      return;
    }
    const asked = this.#asked || this.#heard + QUIET;
    if (!this.#socket || now <= asked) return;
    // The timers of a hidden page come once a minute: quiet alone does not say that it is dead.
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

  /** The name of the state, from what the socket and the browser say now. */
  #name() {
    if (this.#refused) return this.#refused;
    // A socket may outlive what its browser calls offline: what is heard on it counts for more.
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

/** A random id; `crypto.randomUUID` is missing where the page does not come over HTTPS. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * What a person has sent and the server has not yet acknowledged. Sent again after a reconnect: each
 * frame has an id, under which the server takes it once.
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
   * Send a frame, now or when connected. Resolves to the server's word on it: an `ack_message`, an
   * `error_message`, or null after `cancel`.
   */
  deliver(frame) {
    return new Promise((resolve) => {
      const item = { frame, resolve, sentAt: 0 };
      this.#waiting.set(frame.id, item);
      this.#send(item);
    });
  }

  /**
   * Post a form's data, now or when that is possible: the server takes the same answer once. Resolves
   * to what it says; `tell` is told in words how far that is.
   */
  async post(form, body, tell, tries = 0) {
    tell(say("sending"));
    let said = await post(form, body);
    // The page is from before a sign-in.
    if (said.status === 403 && (await renewToken(body))) said = await post(form, body);
    if (!said.passes) return said;
    if (said.isSignedOut) this.#connection.signedOut();
    tell(said.isSignedOut ? said.error : say("willSend"));
    await this.#until(Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** tries));
    return this.post(form, body, tell, tries + 1);
  }

  /** Wait, at most until the connection opens. */
  #until(wait) {
    const over = new AbortController(); // else each try would leave its listeners
    const options = { signal: over.signal };
    return new Promise((resolve) => {
      this.#connection.addEventListener("open", resolve, options);
      addEventListener("online", resolve, options);
      setTimeout(resolve, wait * (0.5 + Math.random() / 2));
    }).finally(() => over.abort());
  }

  /** Send it no more. It may have been sent already. */
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
    // Only a word on what was sent names it by `for`; an error of a run does not.
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

/** Have the forms of the page and this one's data take today's token; returns whether there is one. */
async function renewToken(body) {
  const response = await ask(location.href, { headers: { "X-Background": "1" } }).catch(() => null);
  const html = response?.ok && !response.redirected ? await response.text() : "";
  const fresh = new DOMParser().parseFromString(html, "text/html").querySelector(TOKEN);
  if (!fresh) return false;
  for (const field of document.querySelectorAll(TOKEN)) field.value = fresh.value;
  body.set(fresh.name, fresh.value);
  return true;
}
