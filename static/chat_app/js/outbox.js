// What a person has sent and the server has not yet acknowledged. Sent again after a reconnect: each
// frame has an id, under which the server takes it once.

const AGAIN = 15_000;

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
