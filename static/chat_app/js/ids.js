// Ids of what this page sends. Sending the same id again repeats nothing.

/** A random id; `crypto.randomUUID` is missing where the page does not come over HTTPS. */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
