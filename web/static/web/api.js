// Reads the HTTP API, which never calls the exchange.

/** Return the JSON of a path; throws an Error with the server's own words. */
export async function read(path, signal) {
  const response = await fetch(path, { headers: { accept: "application/json" }, signal });
  const content = await response.json();
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
