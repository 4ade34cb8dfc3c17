// Kafka, at the brokers that the settings name for each producer and consumer.
'use strict';

const { randomUUID } = require('node:crypto');
const { Kafka, Partitioners, logLevel } = require('kafkajs');
const { log } = require('./log');
const { TOPICS } = require('./message');
const { setting } = require('./settings');

/** Milliseconds after which the others of a group do without one that is gone. A quiet one says every five seconds that it is there. */
const GONE = 15_000;
/** Milliseconds of silence after which a listener counts as deaf. */
const DEAF = 2 * GONE;

function client(...path) {
  const brokers = setting('KAFKA', ...path, 'config', 'rdkafkaConf', 'metadata.broker.list').split(',');
  return new Kafka({ clientId: 'ml-api-adapter-stand-in', brokers, logLevel: logLevel.WARN });
}

/** Returns what sends messages to one topic; one is sent when every broker in charge has it. */
async function sender(action) {
  const producer = client('PRODUCER', 'TRANSFER', action.toUpperCase()).producer({
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  const topic = TOPICS[action];
  return async (message) => {
    await producer.send({ topic, messages: [{ key: message.id, value: JSON.stringify(message) }] });
    const { type, action: asked } = message.metadata.event;
    log.info(`transfer ${message.id}: ${type} ${asked} sent to ${topic}`);
  };
}

/**
 * Hands every notification to `each`, in order; one that `each` fails at comes again. A group goes on where it stopped, and
 * nobody's group (`null`) begins at the first that is kept. Returns what tells whether it still hears.
 */
async function listen(groupId, each) {
  const once = groupId === null;
  const consumer = client('CONSUMER', 'NOTIFICATION', 'EVENT').consumer({
    groupId: groupId ?? `ml-api-adapter-stand-in-${randomUUID()}`,
    sessionTimeout: GONE,
  });
  let heard = 0;
  for (const event of [consumer.events.GROUP_JOIN, consumer.events.HEARTBEAT]) {
    consumer.on(event, () => { heard = Date.now(); });
  }
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    log.error(`listening ended: ${payload.error.message}`);
    if (!payload.restart) process.exit(1);
  });
  process.once('SIGTERM', () => consumer.disconnect().finally(() => process.exit(0)));
  await consumer.connect();
  await consumer.subscribe({ topic: TOPICS.notification, fromBeginning: true });
  await consumer.run({ autoCommit: !once, eachMessage: ({ message }) => handed(message, each) });
  return () => Date.now() - heard < DEAF;
}

/** What nobody can read would come again for ever. */
async function handed({ offset, value }, each) {
  let notification;
  try {
    notification = JSON.parse(value.toString());
    notification.metadata.event.state.status.toString();
  } catch (error) {
    log.error(`notification ${offset} is none: ${error.message}`);
    return;
  }
  await each(notification);
}

module.exports = { listen, sender };
