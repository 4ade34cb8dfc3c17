// Messages between Mojaloop's services. Their form is that of StreamingProtocol in @mojaloop/central-services-shared, and of
// src/domain/transfer/dto.js in mojaloop/ml-api-adapter.
'use strict';

const { randomUUID } = require('node:crypto');

const TOPICS = {
  prepare: 'topic-transfer-prepare',
  fulfil: 'topic-transfer-fulfil',
  notification: 'topic-notification-event',
};

/** What kind of body transfers have. The ledger reads the version. */
const CONTENT_TYPE = 'application/vnd.interoperability.transfers+json;version=1.1';

/** What notifications tell of when a transfer will never commit, also where that went as wanted. */
const ENDINGS = ['abort', 'abort-validation', 'timeout-received', 'timeout-reserved', 'reserved-aborted'];

/** A message about a transfer: what is asked of it (`type`, `action`), by whom, of whom. */
function message(id, { from, to, type, action, headers, payload }) {
  return {
    id,
    from,
    to,
    type: 'application/json',
    content: { headers, uriParams: { id }, payload },
    metadata: {
      correlationId: id,
      event: {
        id: randomUUID(),
        type,
        action,
        createdAt: new Date().toISOString(),
        state: { status: 'success', code: 0, description: 'action successful' },
      },
    },
  };
}

/** Whether a notification tells of something that went well. */
const wentWell = ({ metadata }) => metadata.event.state.status === 'success';

/** The words of FSPIOP for what went wrong. */
const wrong = (errorCode, errorDescription) => ({ errorInformation: { errorCode, errorDescription } });

module.exports = { CONTENT_TYPE, ENDINGS, TOPICS, message, wentWell, wrong };
