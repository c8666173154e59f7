// The page of a deleted conversation, which reloads once the deletion was undone in another tab.

const EVERY = 20_000;

async function look() {
  if (document.hidden) return;
  try {
    const response = await fetch(location.href, { headers: { "X-Background": "1" } });
    if (response.ok && !response.redirected) location.reload();
  } catch {
    // The request failed; the timer sends another one.
  }
}

setInterval(look, EVERY);
document.addEventListener("visibilitychange", look);
