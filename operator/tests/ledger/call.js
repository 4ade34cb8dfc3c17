// One call of the payment hub, as a service makes it: with what its Secret of bindings holds. Prints the status, and the body.
//
//   node -e "…" GET TRANSFER
//   node -e "…" POST TRANSFER PAYEE AMOUNT
'use strict';

const { createHash } = require('node:crypto');
const { readFileSync } = require('node:fs');

const [method, transferId, payeeFsp, amount] = process.argv.slice(1);
const bound = (key) => readFileSync(`/bindings/payments/${key}`, 'utf8');
const sha256 = (bytes) => createHash('sha256').update(bytes).digest();
const encoded = (bytes) => Buffer.from(bytes).toString('base64url');

/** The payer's word. The packet stands for what payer and payee agreed on; its hash's hash is the condition. */
function transfer() {
  const ilpPacket = encoded(JSON.stringify({ transferId, payeeFsp, amount }));
  return {
    transferId,
    payerFsp: bound('participant'),
    payeeFsp,
    amount: { currency: bound('currency'), amount },
    ilpPacket,
    condition: encoded(sha256(sha256(ilpPacket))),
    expiration: new Date(Date.now() + 60_000).toISOString(),
  };
}

async function call() {
  const type = 'application/vnd.interoperability.transfers+json;version=1.1';
  const headers = { 'content-type': type, accept: type, 'fspiop-source': bound('participant') };
  const url = bound('transfers-url') + '/transfers';
  const signal = AbortSignal.timeout(10_000);
  const response = method === 'POST'
    ? await fetch(url, { method, headers: { ...headers, 'fspiop-destination': payeeFsp }, body: JSON.stringify(transfer()), signal })
    : await fetch(`${url}/${transferId}`, { headers, signal });
  console.log(response.status, await response.text());
}

call().catch((error) => console.log(0, error.cause?.code ?? error.message));
