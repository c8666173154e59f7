// One socket that comes back by itself, and says in what state it is.

const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
const QUIET = 20_000; // nothing heard for so long: ask
const DEAD = 10_000; // asked, and nothing heard for so long: begin anew

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
  #asked = false;
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
    this.#asked = false;
    this.#show({ name: "connected" });
    // Who is signed out is told so at the first message, and is else waited for.
    this.send({ type: "ping_message" });
    this.dispatchEvent(new Event("open"));
  }

  #receive(event) {
    this.#heard = Date.now();
    this.#asked = false;
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
    if (!this.#socket) return;
    const quiet = Date.now() - this.#heard;
    if (quiet > QUIET + DEAD) {
      this.#drop();
      this.#wait();
    } else if (quiet > QUIET && this.isOpen && !this.#asked) {
      this.#asked = true;
      this.send({ type: "ping_message" });
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
