// One socket that comes back by itself, and says in what state it is; and what is sent over it.

const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
const QUIET = 20_000; // nothing heard for so long: ask
const DEAD = 10_000; // asked, and nothing heard for so long: begin anew
const AGAIN = 15_000; // sent, and not acknowledged for so long: send again

const SIGNED_OUT = 4401;
const NOT_ALLOWED = 4403;
// Said in words beside the state, while it reconnects.
const REASONS = { 1012: "restarting", 4408: "idle", 4429: "tooFast" };

/**
 * Events: `state` (detail `{name, reason, seconds}`, name connecting, connected, waiting, offline,
 * signedOut or notAllowed), `open`, and `frame` (detail: the frame).
 */
export class Connection extends EventTarget {
  #socket = null;
  #tries = 0;
  #reconnectAt = 0;
  #heard = 0;
  #asked = 0;
  #url;

  /** @param url a function that returns the URL for the next try */
  constructor(url) {
    super();
    this.#url = url;
    this.state = { name: "connecting" };
    addEventListener("online", () => this.tryNow());
    addEventListener("offline", () => this.#show({ name: "offline" }));
    addEventListener("pageshow", (event) => event.persisted && this.tryNow());
    document.addEventListener("visibilitychange", () => !document.hidden && this.tryNow());
    setInterval(() => this.#watch(), 1000);
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Connect now, unless a socket is there. */
  tryNow() {
    if (this.#socket || this.state.name === "notAllowed") return;
    this.#reconnectAt = 0;
    this.#show({ ...this.state, name: "connecting" });
    const socket = new WebSocket(this.#url());
    this.#socket = socket;
    this.#heard = Date.now();
    socket.onopen = () => this.#opened();
    socket.onmessage = (event) => this.#receive(event);
    socket.onclose = (event) => this.#closed(socket, event.code);
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
    this.#show({ name: "signedOut" });
  }

  #opened() {
    this.#asked = 0;
    this.#show({ name: "connected" });
    // Who is signed out is told so at the first message, and is else waited for.
    this.send({ type: "ping_message" });
    this.dispatchEvent(new Event("open"));
  }

  #receive(event) {
    this.#heard = Date.now();
    this.#asked = 0;
    // Only what is heard shows that the connection holds: a server may close right after opening.
    this.#tries = 0;
    this.dispatchEvent(new CustomEvent("frame", { detail: JSON.parse(event.data) }));
  }

  #closed(socket, code) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    if (code === SIGNED_OUT) this.#show({ name: "signedOut" });
    else if (code === NOT_ALLOWED) this.#show({ name: "notAllowed" });
    else this.#wait(REASONS[code]);
  }

  #wait(reason) {
    if (!navigator.onLine) {
      this.#show({ name: "offline", reason });
      return;
    }
    const most = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#tries);
    this.#tries = Math.min(this.#tries + 1, 10);
    this.#reconnectAt = Date.now() + most * (0.5 + Math.random() / 2);
    this.#show({ name: "waiting", reason, seconds: this.#secondsLeft() });
    setTimeout(() => this.#watch(), this.#reconnectAt - Date.now());
  }

  #secondsLeft() {
    return Math.max(1, Math.ceil((this.#reconnectAt - Date.now()) / 1000));
  }

  /** Once a second: count down, reconnect, and find out whether the other side is still there. */
  #watch() {
    if (this.#reconnectAt) {
      if (Date.now() >= this.#reconnectAt) this.tryNow();
      else this.#show({ ...this.state, seconds: this.#secondsLeft() });
      return;
    }
    const now = Date.now();
    if (!this.#socket || now - this.#heard <= QUIET) return;
    if (this.isOpen && !this.#asked) {
      // The timers of a hidden page come once a minute: quiet alone does not say that it is dead.
      this.#asked = now;
      this.send({ type: "ping_message" });
    } else if (now - (this.#asked || this.#heard + QUIET) > DEAD) {
      this.#drop();
      this.#wait();
    }
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.#reconnectAt = 0;
    socket?.close();
  }

  #show(state) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}

/** A random id; `crypto.randomUUID` is missing where the page does not come over HTTPS. */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
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
