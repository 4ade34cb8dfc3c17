// One call of the ledger's own API, as the hub's operator makes it in the ledger's pod. Prints the status, and the body.
'use strict';

const [method, path, body] = process.argv.slice(1);
const headers = { 'content-type': 'application/json' };
fetch('http://localhost:3001' + path, { method, headers, body: body || undefined }).then(
  async (response) => console.log(response.status, await response.text()),
  (error) => console.log(0, error.message),
);
