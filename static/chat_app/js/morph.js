// One merge of the DOM: what is on the page becomes as the server has rendered it anew. An element
// that is in both stays, and with it the focus, what is typed, and what is open or scrolled in it.

// Attributes and elements that are the script's alone.
const OWN = new Set(
  "style open aria-busy data-current data-docked data-folded data-over data-selected".split(" "),
);
const KEPT = ".stale, .undo";
const TIMES = "local-time, elapsed-time, count-down"; // their text is that of this clock

/** Make an element like a fresh one of its kind, whose nodes are used up. */
export function morph(live, fresh) {
  keepFocus(live, () => change(live, fresh));
}

/** Make what is in an element like what is in another. */
export function morphChildren(live, fresh) {
  keepFocus(live, () => changeChildren(live, fresh));
}

/** What had the focus may go: then what is there in its place has it. */
function keepFocus(live, work) {
  const focused = live.contains(document.activeElement) && document.activeElement;
  work();
  if (!focused || focused === document.activeElement) return;
  const next = focused.isConnected ? focused : live.querySelector("summary, a, button");
  (next ?? live).focus({ preventScroll: true });
}

function change(live, fresh) {
  if (live.nodeType !== Node.ELEMENT_NODE) {
    if (live.data !== fresh.data) live.data = fresh.data;
  } else if (live.matches(TIMES)) live.replaceWith(fresh);
  else if (!live.isEqualNode(fresh)) {
    for (const { name, value } of fresh.attributes) {
      if (!OWN.has(name) && live.getAttribute(name) !== value) live.setAttribute(name, value);
    }
    for (const { name } of [...live.attributes]) {
      if (!OWN.has(name) && !fresh.hasAttribute(name)) live.removeAttribute(name);
    }
    changeChildren(live, fresh);
    live.drawn?.(); // an element of ours sets what is its own
  }
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
      // Where a browser has no `moveBefore`, what has the focus loses it on the way.
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

/** Remove a node, but not what is kept, nor what holds that. */
function remove(node) {
  if (node.querySelector?.(KEPT)) [...node.childNodes].forEach(remove);
  else if (!node.matches?.(KEPT)) node.remove();
}

/** The node from one on that is what another was before. */
function find(at, node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return at?.nodeType === node.nodeType ? at : null;
  const key = keyOf(node);
  let each = at;
  while (each && (each.nodeType !== Node.ELEMENT_NODE || keyOf(each) !== key)) {
    each = each.nextSibling;
  }
  return each;
}

/** By what an element is known again: what leads or answers elsewhere is another. */
function keyOf(element) {
  const { localName, id, className } = element;
  const link = localName === "li" ? element.querySelector("[href]") : element;
  const address = link?.getAttribute("href") ?? link?.getAttribute("formaction");
  const value = element.matches("[type=checkbox], [type=radio]") && element.value;
  return [localName, id, className.baseVal ?? className, address, element.name, value].join(" ");
}
