import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAccess } from '../../../monitor/probe/access/index.ts'
import { icmpPort } from '../../../monitor/probe/access/rules.ts'
import { probeConfig } from '../../../monitor/probe/config.ts'
import { judgeModule, left } from '../../../monitor/probe/modules/index.ts'
import { findPing } from '../../../monitor/wire/ping.ts'
import { loopback, start } from './asking.ts'

test('only a rule that names icmp allows to ping, and it allows nothing else', () => {
  const { allow } = probeConfig.parse({
    allow: [
      { addresses: ['10.0.0.0/8'], ports: ['1-65535'] },
      { addresses: ['192.0.2.0/24'], ports: ['icmp'] },
    ],
  })
  const access = createAccess(allow)
  assert.equal(access.mayAsk('10.0.0.1', icmpPort), false)
  assert.equal(access.mayAsk('192.0.2.1', icmpPort), true)
  assert.equal(access.mayAsk('192.0.2.1', 80), false)
})

test('a module for ICMP works with a difference where there is a ping, and is refused with the reason where there is none', () => {
  const judged = judgeModule({ prober: 'icmp' })
  if (findPing() === undefined) assert.match('refused' in judged ? judged.refused.join() : '', /needs the ping program/)
  else assert.deepEqual('differences' in judged && judged.differences.map(({ where }) => where), ['prober: icmp'])
  const icmps = left.filter(({ where }) => where.startsWith('prober: icmp'))
  assert.deepEqual(
    icmps.map(({ effect }) => effect),
    ['differs', 'refused'],
  )
})

const refused = [
  {
    name: 'a host that no rule allows to ping',
    target: '127.0.0.1',
    problem: 'probe-not-allowed',
    detail: /^No rule allows to ping 127\.0\.0\.1\.$/,
  },
  { name: 'a port', target: '127.0.0.1:0', problem: 'invalid-request', detail: /must be host:port, or a host alone/ },
  { name: 'another port', target: '127.0.0.1:80', problem: 'invalid-request', detail: /without a port/ },
  { name: 'an option', target: '-f', problem: 'probe-not-allowed', detail: /^No rule allows to ping -f\.$/ },
]
for (const { name, target, problem, detail } of refused)
  test(`an ICMP probe of ${name} is refused`, async (t) => {
    const { ask } = await start(t, { allow: [loopback], modules: { ping: { prober: 'icmp' } } })
    const response = await ask({ module: 'ping', target })
    const document = (await response.json()) as { type: string; detail: string }
    if (findPing() === undefined) assert.match(document.detail, /needs the ping program/)
    else {
      assert.match(document.type, new RegExp(`/${problem}$`))
      assert.match(document.detail, detail)
    }
  })
