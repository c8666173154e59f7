// Of all open pages of one person in this browser one leads: the one that holds a lock. It gives it
// up when it is no longer connected; a page that is closed, or crashes, loses it.

/** `began` is called when this page begins to lead. */
export class Lead {
  #name;
  #seen;
  #connection;
  #began;
  #isAsking = false;
  #quit = () => {};
  #hide = () => {};

  constructor(user, connection, began) {
    this.#name = `attention of ${user}`;
    this.#seen = `in view of ${user}`;
    this.#connection = connection;
    this.#began = began;
    this.isHere = false;
    connection.addEventListener("state", () => this.#follow());
    document.addEventListener("visibilitychange", () => this.#show());
    this.#follow();
    this.#show();
  }

  /** Whether one of the pages is in view. */
  async isSeen() {
    if (!document.hidden) return true;
    const { held } = await navigator.locks.query();
    return held.some(({ name }) => name === this.#seen);
  }

  async #follow() {
    if (!this.#connection.isOpen) this.#quit();
    else if (!this.#isAsking) {
      this.#isAsking = true;
      await navigator.locks.request(this.#name, () => this.#connection.isOpen && this.#hold());
      this.#isAsking = this.isHere = false;
      this.#follow(); // it may be back already
    }
  }

  #hold() {
    this.isHere = true;
    this.#began();
    return new Promise((resolve) => (this.#quit = resolve));
  }

  /** Pages in view share a lock, by which the one that leads knows that somebody looks. */
  #show() {
    this.#hide();
    if (document.hidden) return;
    navigator.locks.request(this.#seen, { mode: "shared" }, () => {
      if (document.hidden) return null;
      return new Promise((resolve) => (this.#hide = resolve));
    });
  }
}
