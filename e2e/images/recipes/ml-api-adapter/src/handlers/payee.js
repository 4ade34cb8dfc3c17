// The payee's side, for participants that have no endpoints: there are no banks behind them in a trial.
//
// A payee's bank makes the fulfilment of a packet when it quotes: a keyed hash (HMAC-SHA-256) with a secret of its own. Nobody
// quotes here, so the payer makes packet and condition, and the fulfilment is the packet's SHA-256 without a key. Whoever sees a
// packet could make it; the ledger checks it against the condition all the same.
'use strict';

const { createHash } = require('node:crypto');
const { CONTENT_TYPE, message, wrong } = require('../lib/message');

const sha256 = (bytes) => createHash('sha256').update(bytes).digest();

/** What the payee says to a transfer that is reserved: it takes it, or refuses one whose condition is not that of its packet. */
function reply(notification) {
  const { id, to: payee, from: payer, content: { payload: transfer } } = notification;
  const fulfilment = sha256(transfer.ilpPacket);
  const takes = sha256(fulfilment).toString('base64url') === transfer.condition;
  const payload = takes
    ? { transferState: 'COMMITTED', fulfilment: fulfilment.toString('base64url'), completedTimestamp: new Date().toISOString() }
    : wrong('5105', 'Payee FSP rejected transaction - the condition is not that of the packet');
  const headers = {
    'content-type': CONTENT_TYPE,
    date: new Date().toUTCString(),
    'fspiop-source': payee,
    'fspiop-destination': payer,
  };
  return message(id, { from: payee, to: payer, type: 'fulfil', action: takes ? 'commit' : 'abort', headers, payload });
}

module.exports = { reply };
