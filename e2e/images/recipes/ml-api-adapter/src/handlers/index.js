// Tells participants what became of their transfers, where the ledger was told to call them.
'use strict';

const { listen, sender } = require('../lib/kafka');
const { PATIENCE, endpoint } = require('../lib/ledger');
const { log, sayWhatThisIs } = require('../lib/log');
const { CONTENT_TYPE, ENDINGS, wentWell } = require('../lib/message');
const { serve } = require('../lib/server');
const { reply } = require('./payee');

/** The real adapter's group: it goes on where it stopped. */
const GROUP = 'ml-group-notification-event';
const CALLS = {
  post: { type: 'FSPIOP_CALLBACK_URL_TRANSFER_POST', method: 'POST' },
  put: { type: 'FSPIOP_CALLBACK_URL_TRANSFER_PUT', method: 'PUT' },
  error: { type: 'FSPIOP_CALLBACK_URL_TRANSFER_ERROR', method: 'PUT' },
};

/** What participants are told of. Limits and settlements are for eyes elsewhere. */
const TOLD = ['prepare', 'commit', 'reserve', 'prepare-duplicate', 'fulfil-duplicate', 'abort-duplicate', 'get', ...ENDINGS];

/** How a participant is told of this; nothing where it is not. */
function callFor(notification) {
  const { action } = notification.metadata.event;
  if (!TOLD.includes(action)) return undefined;
  if (!wentWell(notification)) return CALLS.error;
  return action === 'prepare' ? CALLS.post : CALLS.put;
}

async function handle(notification, fulfil) {
  const { id, to, from, content } = notification;
  const call = callFor(notification);
  if (!call) return;
  const url = await endpoint(to, call.type, id);
  if (url) {
    await tell(url, call.method, { 'fspiop-source': from, 'fspiop-destination': to }, content.payload, id);
  } else if (call === CALLS.post) {
    log.info(`transfer ${id}: ${to} has no endpoint, and is spoken for`);
    await fulfil(reply(notification));
  } else {
    log.info(`transfer ${id}: ${to} has no endpoint, and is not told of ${notification.metadata.event.action}`);
  }
}

/** One try, as the real one: a transfer that its payee does not answer runs out of time. */
async function tell(url, method, who, payload, id) {
  const headers = { 'content-type': CONTENT_TYPE, date: new Date().toUTCString(), ...who };
  try {
    const response = await fetch(url, { method, headers, body: JSON.stringify(payload), signal: AbortSignal.timeout(PATIENCE) });
    log.info(`transfer ${id}: ${who['fspiop-destination']} answers ${response.status}`);
  } catch (error) {
    log.error(`transfer ${id}: ${who['fspiop-destination']} is not reached: ${error.message}`);
  }
}

async function main() {
  sayWhatThisIs('notifications');
  const fulfil = await sender('fulfil');
  serve(await listen(GROUP, (notification) => handle(notification, fulfil)));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
