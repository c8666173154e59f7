// The words that the server has translated for the script.

const words = JSON.parse(document.getElementById("words").textContent);

/** The sentence of that name, its {places} filled. */
export function say(name, values = {}) {
  return words[name].replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
}
