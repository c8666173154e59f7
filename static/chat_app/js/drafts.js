// What is typed and not yet taken by the server survives a reload.

const user = document.getElementById("chat").dataset.user;

/** A place for one draft: a plain object, or null. Storage may be full or forbidden: then none. */
export class Draft {
  constructor(...name) {
    this.key = ["draft", user, ...name].join(":");
  }

  load() {
    try {
      return JSON.parse(localStorage.getItem(this.key));
    } catch {
      return null;
    }
  }

  save(value) {
    try {
      if (value) localStorage.setItem(this.key, JSON.stringify(value));
      else localStorage.removeItem(this.key);
    } catch {
      // Typing goes on without it.
    }
  }
}
