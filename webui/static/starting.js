// Shown while the box starts: asks now and then, and loads the page as soon as it is there.

const EVERY_MS = 2000;

async function tryAgain() {
  try {
    const answer = await fetch("/login", { cache: "no-store" });
    if (answer.status < 500) {
      location.assign(location.pathname + location.search);
      return;
    }
  } catch {
    // Not there yet; that is what we wait for.
  }
  setTimeout(tryAgain, EVERY_MS);
}

setTimeout(tryAgain, EVERY_MS);
