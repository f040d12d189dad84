// One verb of python -m ci.compat: node verbs.mjs CLIENT, with the verb and what it is about as JSON
// on standard input. The answer is JSON on standard output; messages travel as base64.

import { readFileSync } from 'node:fs'

const { verb, door, ...about } = JSON.parse(readFileSync(0, 'utf8'))
const client = await import(`./${process.argv[2]}.mjs`)
const config = {
  address: door.address,
  tls: door.encrypted ? { ca: [readFileSync(door.authority, 'utf8')] } : undefined,
  sasl: door.mechanism ? { mechanism: door.mechanism, username: door.user, password: door.password } : undefined,
}
if (about.messages) about.messages = about.messages.map(each => Buffer.from(each, 'base64'))
const said = await client[verb](config, about)
if (verb !== 'member') {
  const answer = Array.isArray(said) ? said.map(each => (Buffer.isBuffer(each) ? each.toString('base64') : each)) : said
  process.stdout.write(JSON.stringify(answer ?? null), () => process.exit(0))
}
