import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tls } from '../../../monitor/checks/tls.ts'
import type { StartTlsProtocol } from '../../../monitor/wire/starttls.ts'
import { Secret } from '../../../shared/fields.ts'
import { createCertificate } from '../../peers/certificates.ts'
import { type Act, startDialogue } from '../probe/dialogue-server.ts'
import { assertResult, run } from './run.ts'

const signed = await createCertificate()
const secure: Act = { secure: { cert: signed.cert, key: signed.key } }
const wait: Act = { wait: true }
const caFile = new Secret({ value: signed.ca })

const plays: { protocol: StartTlsProtocol; play: Act[]; heard: string[] }[] = [
  {
    protocol: 'smtp',
    play: [
      { say: '220-quay\r\n220 ready\r\n' },
      wait,
      { say: '250-quay\r\n250-STARTTLS\r\n250 HELP\r\n' },
      wait,
      { say: '220 go\r\n' },
      secure,
    ],
    heard: ['EHLO skerry-monitor\r', 'STARTTLS\r', 'QUIT\r'],
  },
  {
    protocol: 'imap',
    play: [{ say: '* OK quay\r\n' }, wait, { say: '* CAPABILITY x\r\na1 OK begin\r\n' }, secure],
    heard: ['a1 STARTTLS\r', 'a2 LOGOUT\r'],
  },
  { protocol: 'pop3', play: [{ say: '+OK quay\r\n' }, wait, { say: '+OK begin\r\n' }, secure], heard: ['STLS\r', 'QUIT\r'] },
  {
    protocol: 'ftp',
    play: [{ say: '220-quay\r\n  welcome\r\n220 ready\r\n' }, wait, { say: '234 go\r\n' }, secure],
    heard: ['AUTH TLS\r', 'QUIT\r'],
  },
  { protocol: 'postgresql', play: [wait, { say: 'S' }, secure], heard: ['\0\0\0\b\x04\ufffd\x16/'] },
]
for (const { protocol, play, heard } of plays)
  test(`a tls check starts TLS by ${protocol}, and takes its leave`, async (t) => {
    const server = await startDialogue(t, play)
    assertResult(await run(tls, { host: 'localhost', port: server.port, starttls: protocol, caFile }), 'up', undefined, /expires in/)
    await server.until(heard.length)
    assert.deepEqual(server.heard, heard)
  })

const faults: { name: string; protocol: StartTlsProtocol; play: Act[]; reason: 'protocol' | 'connection_lost'; detail: RegExp }[] = [
  {
    name: 'an SMTP server that offers none',
    protocol: 'smtp',
    play: [{ say: '220 ready\r\n' }, wait, { say: '250-STARTTLSX\r\n250 HELP\r\n' }],
    reason: 'protocol',
    detail: /It does not offer STARTTLS\. Check starttls/,
  },
  {
    name: 'an SMTP server that is busy',
    protocol: 'smtp',
    play: [{ say: '421 busy\r\n' }],
    reason: 'protocol',
    detail: /It sent "421 busy"/,
  },
  {
    name: 'an IMAP server that refuses',
    protocol: 'imap',
    play: [{ say: '* OK\r\n' }, wait, { say: 'a1 NO\r\n' }],
    reason: 'protocol',
    detail: /"a1 NO"/,
  },
  {
    name: 'a PostgreSQL server without TLS',
    protocol: 'postgresql',
    play: [wait, { say: 'N' }],
    reason: 'protocol',
    detail: /no TLS configured/,
  },
  { name: 'a server that hangs up', protocol: 'pop3', play: [{ close: true }], reason: 'connection_lost', detail: /before TLS started/ },
  {
    name: 'a server that never ends its greeting',
    protocol: 'smtp',
    play: [{ say: '220-quay\r\n'.repeat(500) }],
    reason: 'protocol',
    detail: /more than 200 lines/,
  },
]
for (const { name, protocol, play, reason, detail } of faults)
  test(`a tls check with starttls is down at ${name}`, async (t) => {
    const server = await startDialogue(t, play)
    assertResult(await run(tls, { host: 'localhost', port: server.port, starttls: protocol, caFile }), 'down', reason, detail)
  })
