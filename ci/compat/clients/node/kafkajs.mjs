// kafkajs. Its only codec is gzip; others are packages of their own.

import kafkajs from 'kafkajs'

const { Kafka, CompressionTypes, Partitioners, logLevel } = kafkajs
const TOPIC = 2
const CODECS = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP }

function kafka ({ address, tls, sasl }) {
  const mechanism = sasl?.mechanism.toLowerCase()
  return new Kafka({ brokers: [address], ssl: tls, sasl: sasl && { ...sasl, mechanism }, logLevel: logLevel.NOTHING })
}

export async function produce (config, { topic, messages, codec, idempotent }) {
  if (!(codec in CODECS)) return 'not offered'
  const producer = kafka(config).producer({
    idempotent, createPartitioner: Partitioners.DefaultPartitioner, ...(idempotent && { maxInFlightRequests: 1 }),
  })
  await producer.connect()
  await producer.send({ topic, compression: CODECS[codec], messages: messages.map(value => ({ value, partition: 0 })) })
  await producer.disconnect()
}

export async function consume (config, { topic, count, group }) {
  const consumer = kafka(config).consumer({ groupId: group ?? `alone-${process.pid}` })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  const received = []
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, event => reject(event.payload.error))
    consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        if (received.length === count) return
        received.push(message.value)
        if (received.length < count) return
        await consumer.commitOffsets([{ topic, partition, offset: String(BigInt(message.offset) + 1n) }])
        resolve()
      },
    }).catch(reject)
  })
  await consumer.disconnect()
  return received
}

export async function member (config, { topic, group }) {
  const consumer = kafka(config).consumer({ groupId: group, sessionTimeout: 6000, heartbeatInterval: 500 })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    console.log(JSON.stringify({ assigned: payload.memberAssignment[topic] ?? [] }))
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic] })
  await consumer.run({ eachMessage: async () => {} })
}

async function asAdmin (config, act) {
  const admin = kafka(config).admin()
  await admin.connect()
  const answer = await act(admin)
  await admin.disconnect()
  return answer
}

const entries = settings => Object.entries(settings).map(([name, value]) => ({ name, value }))

export const create = (config, { topic, partitions, settings }) => asAdmin(config, admin =>
  admin.createTopics({ topics: [{ topic, numPartitions: partitions, configEntries: entries(settings) }] }).then(() => null))

export const setting = (config, { topic, name }) => asAdmin(config, async admin => {
  const described = await admin.describeConfigs({ resources: [{ type: TOPIC, name: topic, configNames: [name] }], includeSynonyms: false })
  return described.resources[0].configEntries[0].configValue
})

export const change = (config, { topic, name, value }) => asAdmin(config, admin =>
  admin.alterConfigs({ resources: [{ type: TOPIC, name: topic, configEntries: [{ name, value }] }] }).then(() => null))

export const extend = (config, { topic, partitions }) => asAdmin(config, admin =>
  admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] }).then(() => null))

export const partitions = (config, { topic }) => asAdmin(config, async admin =>
  (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length)

export const remove = (config, { topic }) => asAdmin(config, admin => admin.deleteTopics({ topics: [topic] }).then(() => null))

export const topics = config => asAdmin(config, admin => admin.listTopics())
