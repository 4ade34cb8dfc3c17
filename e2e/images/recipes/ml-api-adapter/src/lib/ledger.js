// What the ledger knows: its health, and where it was told to call a participant.
'use strict';

const { setting } = require('./settings');

/** Milliseconds that an answer may take. */
const PATIENCE = 5_000;

const asked = (url) => fetch(url, { signal: AbortSignal.timeout(PATIENCE) });

async function isHealthy() {
  try {
    return (await asked(setting('ENDPOINT_HEALTH_URL'))).ok;
  } catch {
    return false;
  }
}

/** Where a participant is called for this, with the transfer filled in; nothing where it has no such endpoint. */
async function endpoint(participant, type, transferId) {
  const url = `${setting('ENDPOINT_SOURCE_URL')}/participants/${encodeURIComponent(participant)}/endpoints`;
  const response = await asked(url);
  if (!response.ok) throw new Error(`the ledger answers ${response.status} to what the endpoints of ${participant} are`);
  const found = (await response.json()).find((endpoint) => endpoint.type === type);
  return found?.value.replaceAll('{{transferId}}', transferId);
}

module.exports = { PATIENCE, endpoint, isHealthy };
