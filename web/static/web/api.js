// Reads the HTTP API, which never calls the exchange.

/** Return the JSON of a path; throws an Error with the server's own words. */
export async function read(path, signal) {
  let response, content;
  try {
    response = await fetch(path, { headers: { accept: "application/json" }, signal });
    content = await response.json();
  } catch (failure) {
    if (failure.name === "AbortError") throw failure;
    throw new Error("The server does not answer; what you see may be out of date.");
  }
  if (!response.ok) throw new Error(content.error?.message ?? `HTTP ${response.status}`);
  return content;
}

/** Call `work` now and every so often, one at a time, only while the page is looked at. */
export function repeat(seconds, work) {
  let running = false;
  const run = async () => {
    if (running || document.hidden) return;
    running = true;
    try {
      await work();
    } finally {
      running = false;
    }
  };
  setInterval(run, seconds * 1000);
  document.addEventListener("visibilitychange", run);
  run();
  return run;
}
