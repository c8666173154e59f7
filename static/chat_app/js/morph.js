// Merges newly rendered HTML into the page. An element that is in both stays, and so keeps the
// focus, typed text, open sections and the scroll position.

// Attributes and elements that only the script sets, so that a merge leaves them alone.
const OWN = new Set(
  "style open aria-busy data-current data-docked data-folded data-over data-selected".split(" "),
);
const KEPT = ".stale, .undo";
const TIMES = "local-time, elapsed-time, count-down"; // this computer's clock changes their text

/** Make an element equal to a fresh one of its kind, whose child nodes may be moved into it. */
export function morph(live, fresh) {
  keepFocus(live, () => change(live, fresh));
}

/** Make the children of an element equal to those of a fresh one. */
export function morphChildren(live, fresh) {
  keepFocus(live, () => changeChildren(live, fresh));
}

/** Keep the focus; if the focused element goes, focus the first link or button of `live`. */
function keepFocus(live, work) {
  const focused = live.contains(document.activeElement) && document.activeElement;
  work();
  if (!focused || focused === document.activeElement) return;
  const next = focused.isConnected ? focused : live.querySelector("summary, a, button");
  (next ?? live).focus({ preventScroll: true });
}

function change(live, fresh) {
  if (live.nodeType !== Node.ELEMENT_NODE) {
    changeText(live, fresh.data);
  } else if (live.matches(TIMES)) live.replaceWith(fresh);
  else if (!live.isEqualNode(fresh)) {
    for (const { name, value } of fresh.attributes) {
      if (!OWN.has(name) && live.getAttribute(name) !== value) live.setAttribute(name, value);
    }
    for (const { name } of [...live.attributes]) {
      if (!OWN.has(name) && !fresh.hasAttribute(name)) live.removeAttribute(name);
    }
    changeChildren(live, fresh);
    live.drawn?.(); // lets a custom element set its own state
  }
}

/** Replace the text from its first different character on: a selection before that is kept. */
export function changeText(live, text) {
  if (live.data === text) return;
  let same = 0;
  while (same < text.length && live.data[same] === text[same]) same += 1;
  live.replaceData(same, live.length - same, text.slice(same));
}

function changeChildren(live, fresh) {
  const wanted = new Set([...fresh.children].map(keyOf));
  for (const child of [...live.children]) if (!wanted.has(keyOf(child))) remove(child);
  let at = live.firstChild;
  for (const node of [...fresh.childNodes]) {
    if (at?.matches?.(KEPT)) at = at.nextSibling;
    const same = find(at, node);
    if (!same) live.insertBefore(node, at);
    else {
      while (at !== same && at.nodeType === Node.TEXT_NODE) {
        at = at.nextSibling; // a moved element would lose the selection in it
        at.previousSibling.remove();
      }
      // In browsers without `moveBefore`, a moved element loses the focus.
      if (same !== at) (live.moveBefore ?? live.insertBefore).call(live, same, at);
      at = same.nextSibling;
      change(same, node);
    }
  }
  while (at) {
    const last = at;
    at = at.nextSibling;
    remove(last);
  }
}

/** Remove a node, but neither KEPT elements nor their ancestors. */
function remove(node) {
  if (node.querySelector?.(KEPT)) [...node.childNodes].forEach(remove);
  else if (!node.matches?.(KEPT)) node.remove();
}

/** Return the first node from `at` on that a fresh node corresponds to. */
function find(at, node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return at?.nodeType === node.nodeType ? at : null;
  const key = keyOf(node);
  let each = at;
  while (each && (each.nodeType !== Node.ELEMENT_NODE || keyOf(each) !== key)) {
    each = each.nextSibling;
  }
  return each;
}

/** Return the key by which an element is found again, with its link and its field name. */
function keyOf(element) {
  const { localName, id, className } = element;
  const link = localName === "li" ? element.querySelector("[href]") : element;
  const address = link?.getAttribute("href") ?? link?.getAttribute("formaction");
  const value = element.matches("[type=checkbox], [type=radio]") && element.value;
  return [localName, id, className.baseVal ?? className, address, element.name, value].join(" ");
}
