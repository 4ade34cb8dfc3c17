// Has the events service build its search anew and waits for the end.
const { AUTH_URL, EVENTS_URL } = process.env;
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function ask(url, options) {
  const answer = await fetch(url, options);
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

async function main() {
  const { token } = await ask(new URL('/internal/reindexing-token', AUTH_URL));
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  const reindex = new URL('/events/reindex', EVENTS_URL);
  const before = new Set((await ask(reindex, { headers }).catch(() => [])).map((run) => run.id));
  await ask(reindex, { method: 'POST', headers, body: JSON.stringify({ waitForCompletion: false }) });
  for (;;) {
    await pause(5);
    const run = (await ask(reindex, { headers })).find(({ id }) => !before.has(id));
    if (run) console.log(`${run.status}, ${run.progress.processed} records`);
    if (run && run.status === 'failed') throw new Error(run.error_message);
    if (run && run.status === 'completed') return;
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
