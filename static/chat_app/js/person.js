// The person for whom the page was made. By now somebody else may be signed in in this browser.

export const person = document.querySelector("[data-person]").dataset.person;

/** Fetch for that person. Event of the window: `otherperson`, where the site refuses as another's. */
export async function ask(url, { headers, ...options } = {}) {
  const response = await fetch(url, { ...options, headers: { "X-For": person, ...headers } });
  if (response.status === 409) dispatchEvent(new Event("otherperson"));
  return response;
}
