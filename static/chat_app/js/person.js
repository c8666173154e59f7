// The person for whom the page was rendered. By now somebody else may be signed in.

export const person = document.querySelector("[data-person]").dataset.person;

/** Fetch as the page's person. Window event `otherperson`: somebody else is signed in (409). */
export async function ask(url, { headers, ...options } = {}) {
  const response = await fetch(url, { ...options, headers: { "X-For": person, ...headers } });
  if (response.status === 409) dispatchEvent(new Event("otherperson"));
  return response;
}
