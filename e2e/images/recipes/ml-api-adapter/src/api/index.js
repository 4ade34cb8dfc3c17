// FSPIOP's requests about transfers, passed on to the ledger by topic.
'use strict';

const { listen, sender } = require('../lib/kafka');
const { sayWhatThisIs } = require('../lib/log');
const { serve } = require('../lib/server');
const { States, fulfilled, prepared } = require('./transfers');

const TRANSFER = /^\/transfers\/([^/]+)$/;
const TRANSFER_ERROR = /^\/transfers\/([^/]+)\/error$/;
const TAKEN = { status: 202 };

async function main() {
  sayWhatThisIs('API');
  const states = new States();
  const [prepare, fulfil] = await Promise.all([sender('prepare'), sender('fulfil')]);
  // From the first notification that is kept: a new pod knows what the one before it knew.
  const hears = await listen(null, async (notification) => states.notified(notification));

  serve(hears, [
    ['POST', /^\/transfers$/, async (request) => {
      const message = prepared(request);
      states.received(message.id);
      await prepare(message);
      return TAKEN;
    }],
    ['PUT', TRANSFER, async (request) => {
      await fulfil(fulfilled(request, false));
      return { status: 200 };
    }],
    ['PUT', TRANSFER_ERROR, async (request) => {
      await fulfil(fulfilled(request, true));
      return { status: 200 };
    }],
    // FSPIOP answers 202 here, and later by PUT at the asker's own endpoint. Who has none reads it from the answer.
    ['GET', TRANSFER, async ({ id }) => ({ status: 200, body: states.of(id) })],
  ]);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
