import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAccess } from '../../../monitor/probe/access/index.ts'
import { probeConfig } from '../../../monitor/probe/config.ts'

/** Access by one rule, at port 80 unless it says otherwise. */
function accessOf(rule: { hosts?: string[]; addresses: string[]; ports?: (number | string)[] }) {
  return createAccess(probeConfig.parse({ allow: [{ ports: [80], ...rule }] }).allow)
}

const everything = accessOf({ hosts: ['*'], addresses: ['0.0.0.0/0', '::/0'], ports: ['1-65535'] })

const never = [
  '169.254.169.254',
  '169.254.0.1',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  '0.0.0.0',
  '0.1.2.3',
  '224.0.0.1',
  '255.255.255.255',
  'fe80::1',
  'fe80::1%eth0',
  'fd00:ec2::254',
  'fd20:ce::254',
  'ff02::1',
  '::',
  '::169.254.169.254',
  '::ffff:169.254.169.254',
  '::ffff:a9fe:a9fe',
  '64:ff9b::a9fe:a9fe',
  '64:ff9b:1::a9fe:a9fe',
  '2002:a9fe:a9fe::1',
  '2001:0:1::1',
  'not an address',
  '',
]
for (const address of never)
  test(`${JSON.stringify(address)} is never connected to, whatever a rule allows`, () => {
    assert.equal(everything.mayConnect('shop.example.com', address, 80), false)
    assert.equal(everything.mayConnect(address, address, 80), false)
  })

for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1'])
  test(`${address} is loopback, which a rule for all addresses does not mean`, () => {
    assert.equal(everything.mayConnect('shop.example.com', address, 80), false)
    const named = accessOf({ addresses: ['127.0.0.0/8', '::1', '64:ff9b::/96'] })
    assert.equal(named.mayConnect(address, address, 80), true)
  })

const rows = [
  { name: 'an address in a network', rule: { addresses: ['10.0.0.0/8'] }, host: '10.1.2.3', may: true },
  { name: 'an address outside of it', rule: { addresses: ['10.0.0.0/8'] }, host: '11.1.2.3', may: false },
  { name: 'the same wrapped in IPv6', rule: { addresses: ['10.0.0.0/8'] }, host: '::ffff:10.1.2.3', may: true },
  { name: 'an IPv6 address in a network', rule: { addresses: ['fd12::/16'] }, host: 'fd12:0:1::5', may: true },
  { name: 'a translated address whose own is not allowed', rule: { addresses: ['64:ff9b::/96'] }, host: '64:ff9b::a00:1', may: false },
  { name: 'a translated address whose own is', rule: { addresses: ['64:ff9b::/96', '10.0.0.0/8'] }, host: '64:ff9b::a00:1', may: true },
  { name: 'another port', rule: { addresses: ['10.0.0.0/8'] }, host: '10.1.2.3', port: 81, may: false },
  { name: 'a port in a range', rule: { addresses: ['10.0.0.0/8'], ports: ['8000-8100'] }, host: '10.1.2.3', port: 8100, may: true },
  { name: 'a port after it', rule: { addresses: ['10.0.0.0/8'], ports: ['8000-8100'] }, host: '10.1.2.3', port: 8101, may: false },
  { name: 'a name, if only addresses are allowed', rule: { addresses: ['10.0.0.0/8'] }, host: 'shop.example.com', may: false },
  { name: 'a name', rule: { hosts: ['shop.example.com'], addresses: ['10.0.0.0/8'] }, host: 'shop.example.com', may: true },
  {
    name: 'a name in other letters and with its dot',
    rule: { hosts: ['Shop.example.com'], addresses: ['10.0.0.0/8'] },
    host: 'sHOP.example.COM.',
    may: true,
  },
  { name: 'a name by a pattern', rule: { hosts: ['*.example.com'], addresses: ['10.0.0.0/8'] }, host: 'a.b.example.com', may: true },
  { name: 'the name above the pattern', rule: { hosts: ['*.example.com'], addresses: ['10.0.0.0/8'] }, host: 'example.com', may: false },
  {
    name: 'a name that only ends like the pattern',
    rule: { hosts: ['*.example.com'], addresses: ['10.0.0.0/8'] },
    host: 'a.example.com.evil.org',
    may: false,
  },
  {
    name: 'a name in which the dot is another letter',
    rule: { hosts: ['shop.example.com'], addresses: ['10.0.0.0/8'] },
    host: 'shopxexample.com',
    may: false,
  },
]
for (const { name, rule, host, port = 80, may } of rows)
  test(`${name} ${may ? 'may' : 'may not'} be asked for`, () => {
    assert.equal(accessOf(rule).mayAsk(host, port), may)
  })

test('a name that is allowed may not lead to an address that is not', () => {
  const access = accessOf({ hosts: ['*.example.com'], addresses: ['10.0.0.0/8'] })
  assert.equal(access.mayConnect('shop.example.com', '10.0.0.1', 80), true)
  assert.equal(access.mayConnect('shop.example.com', '192.168.0.1', 80), false)
})

test('one rule must allow name, address and port together', () => {
  const { allow } = probeConfig.parse({
    allow: [
      { hosts: ['a.example.com'], addresses: ['10.0.0.0/8'], ports: [80] },
      { hosts: ['b.example.com'], addresses: ['192.168.0.0/16'], ports: [443] },
    ],
  })
  const access = createAccess(allow)
  assert.equal(access.mayConnect('b.example.com', '192.168.0.1', 443), true)
  assert.equal(access.mayConnect('a.example.com', '192.168.0.1', 443), false)
  assert.equal(access.mayConnect('b.example.com', '10.0.0.1', 443), false)
  assert.equal(access.mayConnect('b.example.com', '192.168.0.1', 80), false)
})

test('without a rule nothing may be asked for', () => {
  const access = createAccess([])
  for (const host of ['shop.example.com', '10.0.0.1', '127.0.0.1']) assert.equal(access.mayAsk(host, 80), false)
})
