import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ownFailures } from '../../../agent/cloud/contract/failures.ts'
import type { Link } from '../../../agent/cloud/link.ts'
import type { Transport } from '../../../agent/cloud/transport.ts'
import { pinOf } from '../../../agent/cloud/trust.ts'
import { createUndiciTransport } from '../../../agent/cloud/undici-transport.ts'
import { systemClock } from '../../../shared/clock.ts'
import { HonestCloud } from '../../cloud/honest-cloud.ts'
import { serveCloud } from '../../cloud/serve.ts'
import { tokenWith, World } from '../../cloud/world.ts'
import { createServingCertificate } from '../../cluster/index.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'

let authorities = 1

/** A certificate of another CA. Of two CAs with one name and no key identifiers, OpenSSL tries the first one only. */
const anotherCertificate = () => createServingCertificate('cloud', [], { authority: `authority ${++authorities}` })

/** A region and a cloud with a certificate of a CA of its own, over TLS. */
async function overTls(t: TestContext, { isConfigured = true } = {}) {
  const clock = createFakeClock()
  const served = await serveCloud(() => clock.now())
  const transports: Transport[] = []
  const connect = () => {
    const transport = createUndiciTransport({
      url: served.origin,
      ca: isConfigured ? served.ca : undefined,
      timeoutMs: 10_000,
      clock: systemClock,
    })
    transports.push(transport)
    return transport
  }
  t.after(async () => {
    await Promise.all(transports.map((transport) => transport.close()))
    await served.close()
  })
  const { cloud } = served
  return { served, cloud, world: new World({ clock, cloud, connect }) }
}

async function joined(world: World): Promise<Link> {
  world.give(tokenWith())
  const link = world.link()
  await world.until(link, 'Ready')
  return link
}

const renewalIsDue = (world: World) => world.clock.advance(2_500_000)
const sequence = (world: World) => world.registered[0]?.sequence

test('a CA that was announced ahead changes without a word', async (t) => {
  const { served, cloud, world } = await overTls(t)
  const link = await joined(world)
  const next = await anotherCertificate()
  await link.announced(await cloud.publish({ anchors: [served.ca, next.ca] }))
  cloud.documents.length = 0
  served.use(next)
  await renewalIsDue(world)
  await world.until(link, 'Ready')
  assert.equal(sequence(world), 2)
  assert.equal(world.content.state?.trust?.sequence, 1)
  assert.deepEqual(
    world.lines.filter(({ to }) => to === 'Recovering'),
    [],
  )
  await renewalIsDue(world)
  await world.until(world.link(), 'Ready')
  assert.equal(sequence(world), 3, 'the next process trusts it too')
})

test('a CA that was changed while the region was away is found without a visit', async (t) => {
  const { served, cloud, world } = await overTls(t)
  await joined(world)
  const next = await anotherCertificate()
  await cloud.publish({ anchors: [next.ca] })
  served.use(next)
  await world.clock.advance(90 * 86_400_000)
  await world.until(world.link(), 'Ready')
  assert.equal(sequence(world), 2)
})

test('a CA and a key that were changed twice while the region was away are found, one document after the other', async (t) => {
  const { served, cloud, world } = await overTls(t)
  await joined(world)
  const [second, third] = [await anotherCertificate(), await anotherCertificate()]
  await cloud.publish({ anchors: [second.ca], newKey: true })
  await cloud.publish({ anchors: [third.ca], newKey: true })
  served.use(third)
  await world.clock.advance(365 * 86_400_000)
  await world.until(world.link(), 'Ready')
  assert.equal(world.content.state?.trust?.sequence, 2)
  assert.deepEqual(world.content.state?.trust?.anchors, [third.ca])
  assert.equal(sequence(world), 2)
})

test('a key that was changed while the region was away is found though the CA is the same', async (t) => {
  const { served, cloud, world } = await overTls(t)
  await joined(world)
  await cloud.publish({ anchors: [served.ca], newKey: true })
  await renewalIsDue(world)
  await world.until(world.link(), 'Ready')
  assert.equal(sequence(world), 2, 'the answer that was not trusted was given again')
})

test('a region that joined after the key was changed goes on from there, past the documents from before', async (t) => {
  const { served, cloud, world } = await overTls(t)
  await cloud.publish({ anchors: [served.ca], newKey: true })
  await joined(world)
  const next = await anotherCertificate()
  await cloud.publish({ anchors: [next.ca] })
  served.use(next)
  await renewalIsDue(world)
  await world.until(world.link(), 'Ready')
  assert.equal(sequence(world), 2)
  assert.equal(world.content.state?.trust?.sequence, 2)
})

const unannounced: { name: string; publish: (cloud: Awaited<ReturnType<typeof overTls>>) => Promise<unknown>; says: RegExp }[] = [
  { name: 'nothing is published', publish: async () => {}, says: /answered 404/ },
  {
    name: 'what is published is known already',
    async publish({ cloud, served, world }) {
      const document = await cloud.publish({ anchors: [served.ca] })
      const link = world.link()
      await link.step()
      await link.announced(document)
    },
    says: /the one that the region knows already/,
  },
  {
    name: 'what is published is signed by somebody else',
    async publish({ cloud, served }) {
      await cloud.publish({ anchors: [served.ca], newKey: true })
      await cloud.publish({ anchors: [served.ca] })
      cloud.documents.shift()
    },
    says: /not signed with a key of the cloud that the region knows/,
  },
  {
    name: 'what is published names another CA',
    async publish({ cloud }) {
      await cloud.publish({ anchors: [(await anotherCertificate()).ca] })
    },
    says: /not in what the cloud has announced/,
  },
]
for (const { name, publish, says } of unannounced) {
  test(`ca-changed: where ${name}, the region goes on asking, says so, and trusts nobody else`, async (t) => {
    const all = await overTls(t)
    const { served, world } = all
    await joined(world)
    await publish(all)
    const next = await anotherCertificate()
    served.use(next)
    await renewalIsDue(world)
    const link = world.link()
    await world.until(link, 'Renewing', { steps: 3 })
    const { reason, message = '', action, nextAttempt } = world.content.status ?? {}
    const row = ownFailures['ca-changed']
    assert.deepEqual([reason, action], [row.reason, row.action], message)
    assert.ok(message.startsWith(row.message) && nextAttempt !== undefined, message)
    assert.match(message, says)
    assert.equal(sequence(world), 1, 'nobody was asked')
    assert.ok(world.content.state?.joined?.credential, 'and nothing was given up')
  })
}

test('a CA that was changed without a word is taken as soon as it is announced', async (t) => {
  const { served, cloud, world } = await overTls(t)
  const link = await joined(world)
  const next = await anotherCertificate()
  served.use(next)
  await renewalIsDue(world)
  await world.until(link, 'Renewing', { steps: 3 })
  assert.equal(world.content.status?.reason, 'CaChanged')
  await cloud.publish({ anchors: [next.ca] })
  await world.until(link, 'Ready')
  assert.equal(sequence(world), 2)
})

test('key-changed: a signature by a key that nobody has announced is not trusted, until it is announced', async (t) => {
  const { served, cloud, world } = await overTls(t)
  const link = await joined(world)
  await cloud.publish({ anchors: [served.ca], newKey: true })
  const [document = ''] = cloud.documents.splice(0)
  await renewalIsDue(world)
  await world.until(link, 'Renewing', { steps: 3 })
  assert.equal(world.content.status?.reason, 'KeyChanged')
  assert.equal(world.content.status?.action, ownFailures['key-changed'].action)
  cloud.documents.push(document)
  await world.until(link, 'Ready')
})

test('the first contact with a cloud that has its own CA is by the pin in the token', async (t) => {
  const { served, cloud, world } = await overTls(t, { isConfigured: false })
  await cloud.publish({ anchors: [(await anotherCertificate()).ca, served.ca] })
  world.give(tokenWith({ pin: pinOf(served.ca) ?? assert.fail() }))
  await world.until(world.link(), 'Ready')
  assert.deepEqual(world.content.state?.trust?.anchors, [served.ca])
  await cloud.publish({ anchors: [served.ca], newKey: true })
  await renewalIsDue(world)
  await world.until(world.link(), 'Ready')
  assert.equal(world.content.state?.trust?.sequence, 2, 'from then on the documents count')
})

test('a key that came with a token in vain is not kept: that of the next token counts', async (t) => {
  const { served, cloud, world } = await overTls(t, { isConfigured: false })
  await cloud.publish({ anchors: [served.ca] })
  const pin = pinOf(served.ca) ?? assert.fail()
  const give = (id: string, cloudKey: string) => {
    world.give(tokenWith({ id, pin }))
    Object.assign(world.content.join ?? assert.fail(), { cloudKey })
  }
  const link = world.link()
  give('wrong', new HonestCloud('https://another.example.org', Date.now).key)
  await world.until(link, 'Claiming', { steps: 3 })
  assert.equal(world.content.status?.reason, 'KeyChanged')
  assert.deepEqual(
    world.content.state?.trust,
    { cloud: cloud.origin, sequence: 0, anchors: [served.ca] },
    'the pin vouches for the CA alone',
  )
  give('right', cloud.key)
  await world.until(link, 'Ready')
})

test('untrusted: without a pin, or with that of another CA, nothing is sent to a cloud that nobody vouches for', async (t) => {
  const { served, cloud, world } = await overTls(t, { isConfigured: false })
  await cloud.publish({ anchors: [served.ca] })
  world.give(tokenWith())
  await world.until(world.link(), 'Claiming', { steps: 3 })
  assert.equal(world.content.status?.reason, 'Untrusted')
  assert.equal(world.content.status?.action, ownFailures.untrusted.action)
  const { ca } = await anotherCertificate()
  world.give(tokenWith({ pin: pinOf(ca) ?? assert.fail() }))
  await world.until(world.link(), 'Claiming', { steps: 3 })
  assert.equal(world.content.status?.reason, 'CaChanged')
  assert.match(world.content.status?.message ?? '', /the installation token pins/)
  assert.deepEqual(world.registered, [])
})

test('whoever is on the way cannot put a CA of his own behind the one that is pinned', async (t) => {
  const { served, cloud, world } = await overTls(t, { isConfigured: false })
  const theirs = await anotherCertificate()
  world.give(tokenWith({ pin: pinOf(served.ca) ?? assert.fail() }))
  // Nobody has to sign the first document: the pin vouches for what is in it.
  const payload = { iss: cloud.origin, iat: 1, sequence: 1, anchors: [`${served.ca.trim()}\n${theirs.ca}`], keys: cloud.signatures.jwks }
  cloud.documents.push(['{}', JSON.stringify(payload), 'x'].map((part) => Buffer.from(part).toString('base64url')).join('.'))
  served.use(theirs)
  await world.until(world.link(), 'Claiming', { steps: 3 })
  assert.deepEqual(world.registered, [])
  assert.equal(world.content.state?.trust, undefined)
})

test('a cloud that announces key after key, and signs with none of them, is not asked without a pause', async (t) => {
  const { served, cloud, world } = await overTls(t)
  const link = await joined(world)
  world.onTheWay = async (_sent, go) => {
    await cloud.publish({ anchors: [served.ca], newKey: true })
    const answer = await go()
    return { ...answer, body: answer.body.replace(/\.[\w-]{86}"/, `.${'A'.repeat(86)}"`) }
  }
  await renewalIsDue(world)
  const pauses = [await link.step(), await link.step()]
  assert.deepEqual(pauses[0], 0, 'the first one may be what was missing')
  assert.ok((pauses[1] ?? 0) > 0, `${pauses}`)
  assert.equal(world.content.status?.reason, 'KeyChanged')
})
