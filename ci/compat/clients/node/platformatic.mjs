// @platformatic/kafka.

import { Admin, compressionsAlgorithms, Consumer, Producer } from '@platformatic/kafka'

const TOPIC = 2
const SET = 0

const options = ({ address, tls, sasl }) => ({
  clientId: 'compat', bootstrapBrokers: [address], ...(tls && { tls }), ...(sasl && { sasl }),
})

export async function produce (config, { topic, messages, codec, idempotent }) {
  if (!compressionsAlgorithms[codec].available) return 'not offered' // zstd, before Node 22.15
  const producer = new Producer(options(config))
  await producer.send({
    messages: messages.map(value => ({ topic, value, partition: 0 })), compression: codec, idempotent, autocreateTopics: true,
  })
  await producer.close()
}

export async function consume (config, { topic, count, group }) {
  const consumer = new Consumer({ ...options(config), groupId: group ?? `alone-${process.pid}`, autocommit: false })
  const stream = await consumer.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest' })
  const received = []
  for await (const message of stream) {
    received.push(message.value)
    if (received.length < count) continue
    await message.commit()
    break
  }
  await consumer.close(true)
  return received
}

export async function member (config, { topic, group, protocol }) {
  const consumer = new Consumer({
    ...options(config), groupId: group,
    ...(protocol === 'consumer' ? { groupProtocol: 'consumer' } : { sessionTimeout: 6000, heartbeatInterval: 500 }),
  })
  let before = -1
  setInterval(() => { // the new protocol has no event for an assignment
    const owned = consumer.assignments?.find(each => each.topic === topic)?.partitions.length ?? 0
    if (owned !== before) console.log(JSON.stringify({ assigned: Array.from({ length: owned }, (_, n) => n) }))
    before = owned
  }, 100)
  const stream = await consumer.consume({ topics: [topic] })
  stream.on('data', () => {})
}

async function asAdmin (config, act) {
  const admin = new Admin(options(config))
  const answer = await act(admin)
  await admin.close()
  return answer
}

export const create = (config, { topic, partitions, settings }) => asAdmin(config, admin => admin.createTopics({
  topics: [topic], partitions, replicas: 1, configs: Object.entries(settings).map(([name, value]) => ({ name, value })),
}).then(() => null))

export const setting = (config, { topic, name }) => asAdmin(config, async admin => {
  const [described] = await admin.describeConfigs({ resources: [{ resourceType: TOPIC, resourceName: topic, configurationKeys: [name] }] })
  return described.configs[0].value
})

export const change = (config, { topic, name, value }) => asAdmin(config, admin => admin.incrementalAlterConfigs({
  resources: [{ resourceType: TOPIC, resourceName: topic, configs: [{ name, value, configOperation: SET }] }],
}).then(() => null))

export const extend = (config, { topic, partitions }) => asAdmin(config, admin =>
  admin.createPartitions({ topics: [{ name: topic, count: partitions }] }).then(() => null))

export const partitions = (config, { topic }) => asAdmin(config, async admin =>
  (await admin.metadata({ topics: [topic] })).topics.get(topic).partitionsCount)

export const remove = (config, { topic }) => asAdmin(config, admin => admin.deleteTopics({ topics: [topic] }).then(() => null))

export const topics = config => asAdmin(config, admin => admin.listTopics())
