import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseXml, textOf } from '../../../agent/bucket/xml.ts'
import { anyText, fc } from '../../shared/property.ts'
import { threadMs } from '../../shared/thread-time.ts'

test('a document is read with its declaration, namespaces, comments, CDATA and character references', () => {
  const root = parseXml(
    `\ufeff<?xml version="1.0" encoding="UTF-8"?>\n<!-- a list --><s3:List xmlns:s3='http://s3.amazonaws.com/doc/'>
      <Key>a &lt;b&gt; &amp;amp; &#x1F600;&#246;</Key><Empty/><Raw at="1" of = 'x'><![CDATA[<&]]>]</Raw></s3:List>\n`,
  )
  assert.equal(root.name, 'List')
  assert.equal(textOf(root, 'Key'), 'a <b> &amp; 😀ö')
  assert.equal(textOf(root, 'Empty'), '')
  assert.equal(textOf(root, 'Raw'), '<&]')
  assert.equal(textOf(root, 'Absent'), undefined)
})

const refused: Record<string, string> = {
  nothing: '',
  text: 'Service Unavailable',
  HTML: '<!DOCTYPE html><html><body>Log in<br></body></html>',
  'a document type with entities': '<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>',
  'an entity that nobody has declared': '<x>&nbsp;</x>',
  'an ampersand alone': '<x>a & b</x>',
  'a character that there is not': '<x>&#x110000;</x>',
  'a processing instruction': '<?php echo 1 ?><x/>',
  'a document that is cut': '<ListBucketResult><Contents><Key>a</Key>',
  'a tag that is cut': '<ListBucketResult><Cont',
  'ends in the wrong order': '<a><b></a></b>',
  'two roots': '<a/><b/>',
  'text beside the root': '<a/>b',
  'an end of nothing': '</a>',
  'a less-than sign in an attribute': '<a b="<"/>',
  'elements nine deep': `${'<a>'.repeat(9)}${'</a>'.repeat(9)}`,
}
for (const [name, document] of Object.entries(refused)) {
  test(`${name} is refused`, () => assert.throws(() => parseXml(document), Error))
}

test('whatever text an element has is read as it was written', () => {
  const written = (text: string) => text.replace(/[&<>]/g, (found) => `&#${found.codePointAt(0)};`)
  fc.assert(fc.property(anyText(), (text) => assert.equal(parseXml(`<a>${written(text)}</a>`).text, text)))
})

const hostile: Record<string, (n: number) => string> = {
  'blanks in a tag': (n) => `<a${' '.repeat(n)}`,
  'a name without an end': (n) => `<a ${'b'.repeat(n)}`,
  'attributes without an end': (n) => `<a${' b="c"'.repeat(n / 6)}`,
  'comments without an end': (n) => '<!--'.repeat(n / 4),
  'CDATA without an end': (n) => '<![CDATA['.repeat(n / 9),
  ampersands: (n) => `<a>${'&'.repeat(n)}</a>`,
  'less-than signs': (n) => '<'.repeat(n),
}
test('no text takes longer than its length: half a MiB of it is judged at once', () => {
  for (const [name, text] of Object.entries(hostile)) {
    const given = text(1 << 19)
    const begun = threadMs()
    assert.throws(() => parseXml(given), Error, name)
    // It takes up to 0.1 s; with the square of the length it would be minutes.
    assert.ok(threadMs() - begun < 2_000, `${name}: ${threadMs() - begun} ms`)
  }
})
