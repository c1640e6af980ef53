import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressOf } from '../../../agent/bucket/address.ts'
import { answerFault, type Intent } from '../../../agent/bucket/answer-fault.ts'
import type { BucketPlace } from '../../../agent/bucket/index.ts'
import { anyText, fc } from '../../shared/property.ts'

const place: BucketPlace = {
  bucket: 'harbour-snapshots',
  endpointUrl: 'https://s3.harbour.example',
  accessKeyId: 'AKIAEXAMPLE',
  secretAccessKey: 'not-for-others',
}

const words = fc.oneof(
  anyText(),
  fc.constantFrom('AKIAEXAMPLE', 'harbour-snapshots', 'NoSuchBucket', 'AccessDenied', '2026-11-30T11:45:00Z', 'https://[', '//', '<a/>'),
)
const element = fc.tuple(fc.constantFrom('Code', 'Message', 'Region', 'Endpoint', 'BucketName', 'ServerTime', 'Error'), words)
const refusal = fc
  .array(element)
  .map(
    (all) =>
      `<Error>${all.map(([name, text]) => `<${name}>${text.replace(/[&<]/g, (found) => `&#${found.charCodeAt(0)};`)}</${name}>`).join('')}</Error>`,
  )
const header = fc.constantFrom('location', 'date', 'content-type', 'x-amz-bucket-region')
const answer = fc.record({
  status: fc.oneof(fc.constantFrom(301, 400, 403, 404, 405, 413, 500, 503, 507, 511), fc.integer({ min: 100, max: 999 })),
  headers: fc.dictionary(header, words),
  body: fc.oneof(refusal, words).map((text) => Buffer.from(text)),
})

test('whatever a store answers becomes one bounded line of visible text with an action, without a key', () => {
  fc.assert(
    fc.property(answer, fc.constantFrom<Intent>('look', 'list', 'write', 'read', 'delete'), fc.boolean(), (given, intent, pathStyle) => {
      const asked = { ...place, pathStyle }
      const fault = answerFault(given, { intent, place: asked, address: addressOf(asked), region: 'us-east-1', at: 0 })
      const said = `${fault.message} ${fault.action}`
      assert.ok(fault.message.length <= 600 && fault.action.length <= 300, said)
      assert.doesNotMatch(said, /AKIAEXAMPLE|[\p{Cc}\p{Cs}\u202e\u2028]/u)
    }),
    { numRuns: 1_000 },
  )
})

test('no part of a key is told either, where what a store says is cut, nor another form of it', () => {
  const asked = { ...place, accessKeyId: 'AKIA/EXAM+PLE' }
  const told = (body: string, status: number, headers = {}) => {
    const { message, action } = answerFault(
      { status, headers, body: Buffer.from(body) },
      { intent: 'list', place: asked, address: addressOf(asked), region: 'us-east-1', at: 0 },
    )
    return `${message} ${action}`
  }
  for (const key of ['AKIA/EXAM+PLE', 'AKIA%2FEXAM%2BPLE']) {
    for (let before = 180; before <= 600; before += 3) {
      const text = 'x'.repeat(before) + key
      for (const said of [
        told(`<Error><Code>Odd</Code><Message>${text}</Message></Error>`, 418),
        told(`<Error><Code>${text}</Code><Message>no</Message></Error>`, 418),
        told(`<Error><Code>Odd</Code><Endpoint>${text}</Endpoint></Error>`, 400),
      ])
        assert.doesNotMatch(said, /AKI/)
    }
  }
})
