// The page of a deleted conversation: it comes back once that was undone in another tab.

const EVERY = 20_000;

async function look() {
  if (document.hidden) return;
  try {
    const response = await fetch(location.href, { headers: { "X-Background": "1" } });
    if (response.ok && !response.redirected) location.reload();
  } catch {
    // It is seen with the next look.
  }
}

setInterval(look, EVERY);
document.addEventListener("visibilitychange", look);
