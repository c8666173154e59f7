// Keeps the number of waiting questions up to date, on pages without other live updates.

import { Connection } from "../js/connection.js";
import { counted } from "../js/words.js";

const count = document.getElementById("count");

const connection = new Connection(count.dataset.socket, () => ({ waiting: true }));
connection.addEventListener("frame", ({ detail: frame }) => {
  if (frame.type === "waiting_message") count.textContent = counted(frame.waiting);
});
connection.tryNow();
