import assert from 'node:assert/strict'
import { test } from 'node:test'
import { authorization, queryString, sha256, signedDate } from '../../../agent/bucket/signature.ts'

// The examples of https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, with the key that stands there for everybody.
const signer = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', region: 'us-east-1' }
const host = 'examplebucket.s3.amazonaws.com'
const at = signedDate(Date.UTC(2013, 4, 24))
const empty = sha256('')

const examples: {
  name: string
  method?: string
  path: string
  query?: [string, string][]
  headers: Record<string, string>
  signature: string
}[] = [
  {
    name: 'GET of an object, with a range',
    path: '/test.txt',
    headers: { host, range: 'bytes=0-9', 'x-amz-content-sha256': empty, 'x-amz-date': at },
    signature: 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  },
  {
    name: 'PUT of an object whose key is encoded',
    method: 'PUT',
    path: '/test%24file.text',
    headers: {
      date: 'Fri, 24 May 2013 00:00:00 GMT',
      host,
      'x-amz-content-sha256': sha256('Welcome to Amazon S3.'),
      'x-amz-date': at,
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    },
    signature: '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  },
  {
    name: 'GET of a part of the bucket, which has a name and no value',
    path: '/',
    query: [['lifecycle', '']],
    headers: { host, 'x-amz-content-sha256': empty, 'x-amz-date': at },
    signature: 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
  },
  {
    name: 'GET of a list',
    path: '/',
    query: [
      ['prefix', 'J'],
      ['max-keys', '2'],
    ],
    headers: { host, 'x-amz-content-sha256': empty, 'x-amz-date': at },
    signature: '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  },
]
for (const { name, method = 'GET', path, query = [], headers, signature } of examples) {
  test(`the signature of a ${name} is that of Amazon's manual`, () => {
    const found = authorization({ method, path, query, headers }, signer)
    const names = Object.keys(headers).sort().join(';')
    const credential = 'AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request'
    assert.equal(found, `AWS4-HMAC-SHA256 Credential=${credential},SignedHeaders=${names},Signature=${signature}`)
  })
}

test('a query is sorted by its encoded names, and every reserved character is encoded', () => {
  const query: [string, string][] = [
    ['prefix', "a b+c/d'(e)!*~"],
    ['list-type', '2'],
  ]
  assert.equal(queryString(query), 'list-type=2&prefix=a%20b%2Bc%2Fd%27%28e%29%21%2A~')
})
