// One way of asking a server: JSON in, JSON out, and an error that says what was answered.

export class RemoteError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export async function ask(url, { method = "GET", headers = {}, json, body, raw = false } = {}) {
  const options = { method, headers: { ...headers }, cache: "no-store", credentials: "omit", body };
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers["Content-Type"] = "application/json";
  }
  let response = await sent(url, options);
  for (let left = 3; left > 0 && isNotYet(response); left -= 1) {
    await new Promise((later) => setTimeout(later, 1000 * response.headers.get("Retry-After")));
    response = await sent(url, options);
  }
  if (!response.ok) throw new RemoteError(await explained(response), response.status);
  if (raw) return response;
  return response.status === 204 ? null : response.json();
}

async function sent(url, options) {
  try {
    return await fetch(url, options);
  } catch {
    throw new RemoteError(`${new URL(url).host} does not answer. Nothing was lost; try again.`, 0);
  }
}

// The ledger does not show the entry yet, and the server says how many seconds to wait.
function isNotYet(response) {
  return response.status === 409 && response.headers.has("Retry-After");
}

async function explained(response) {
  try {
    const problem = await response.json();
    return [problem.title, problem.detail].filter(Boolean).join(": ");
  } catch {
    return `${new URL(response.url).host} answered ${response.status}`;
  }
}
