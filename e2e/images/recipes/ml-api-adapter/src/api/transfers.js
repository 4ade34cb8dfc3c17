// What may be asked of transfers, and what has become of each, as far as notifications told. Fields and patterns are those of
// FSPIOP 1.1; the numbers of what is wrong those of src/errors.js in @mojaloop/central-services-error-handling.
'use strict';

const { ENDINGS, message, wentWell } = require('../lib/message');
const { Refused } = require('../lib/server');

const FIELDS = {
  transferId: /^[0-9a-f]{8}-[0-9a-f]{4}-[1-7][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  payerFsp: /^.{1,32}$/,
  payeeFsp: /^.{1,32}$/,
  'amount.currency': /^[A-Z]{3}$/,
  'amount.amount': /^([0]|([1-9][0-9]{0,17}))([.][0-9]{0,3}[1-9])?$/,
  ilpPacket: /^[A-Za-z0-9_-]{1,32768}$/,
  condition: /^[A-Za-z0-9_-]{43}$/,
  expiration: /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{3})?(Z|[+-]\d{2}:\d{2})$/,
};
function fspiop(headers) {
  const kept = Object.entries(headers).filter(([name]) => /^(accept|content-type|date|fspiop-.+)$/.test(name));
  const all = Object.fromEntries(kept);
  if (!all['fspiop-source']) throw new Refused(400, '3102', 'Missing mandatory element - header fspiop-source');
  if (!/^application\/vnd\.interoperability\.transfers\+json;\s*version=1(\.\d)?$/.test(all['content-type'] ?? '')) {
    throw new Refused(406, '3001', 'Unacceptable version requested - content-type is no application/vnd.interoperability.transfers+json;version=1.1');
  }
  return all;
}

/** The message that asks the ledger to prepare a transfer. */
function prepared({ headers, body }) {
  for (const [field, pattern] of Object.entries(FIELDS)) {
    const value = field.split('.').reduce((at, key) => at?.[key], body);
    if (value === undefined) throw new Refused(400, '3102', `Missing mandatory element - ${field}`);
    if (typeof value !== 'string' || !pattern.test(value)) {
      throw new Refused(400, '3101', `Malformed syntax - ${field} does not match ${pattern.source}`);
    }
  }
  const { transferId, payerFsp: from, payeeFsp: to } = body;
  return message(transferId, { from, to, type: 'prepare', action: 'prepare', headers: fspiop(headers), payload: body });
}

/** The message that tells the ledger what the payee's side says: that it commits, reserves, or does not take it (`abort`). */
function fulfilled({ id, headers, body }, refuses) {
  const all = fspiop(headers);
  const action = refuses ? 'abort' : { COMMITTED: 'commit', RESERVED: 'reserve' }[body?.transferState];
  if (!action) throw new Refused(400, '3101', 'Malformed syntax - transferState is neither COMMITTED nor RESERVED');
  const [from, to] = [all['fspiop-source'], all['fspiop-destination']];
  return message(id, { from, to, type: 'fulfil', action, headers: all, payload: body });
}

/** What a notification says of its transfer; nothing where it changes none. */
function said(notification) {
  const { action } = notification.metadata.event;
  const { payload } = notification.content;
  if (wentWell(notification) && action === 'prepare') return { transferState: 'RESERVED' };
  if (wentWell(notification) && ['commit', 'reserve'].includes(action)) {
    const { completedTimestamp, fulfilment } = payload;
    return { transferState: 'COMMITTED', completedTimestamp, fulfilment };
  }
  const ended = ENDINGS.includes(action) || action === 'prepare';
  return ended ? { transferState: 'ABORTED', errorInformation: payload.errorInformation } : undefined;
}

/** The states of transfers. They only go forward: what comes late or twice changes nothing. */
class States {
  #states = new Map();

  /** It was taken in. */
  received(id) {
    if (!this.#states.has(id)) this.#states.set(id, { transferState: 'RECEIVED' });
  }

  /** The ledger says something about it. */
  notified(notification) {
    const { id } = notification;
    const next = said(notification);
    const now = this.#states.get(id)?.transferState ?? 'RECEIVED';
    const open = now === 'RECEIVED' || (now === 'RESERVED' && notification.metadata.event.action !== 'prepare');
    if (next && open) this.#states.set(id, next);
  }

  /** What is known of it. */
  of(id) {
    const state = this.#states.get(id);
    if (!state) throw new Refused(404, '3208', `Transfer ID not found - ${id}`);
    return state;
  }
}

module.exports = { States, fulfilled, prepared };
