import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startEtcd } from '../../peers/etcd.ts'
import { startEndpoint } from '../metrics/endpoint-in-hand.ts'
import { readPage } from '../metrics/reading.ts'

test('the health of a real gRPC server is asked for, and a service that it does not know is told by its code', async (t) => {
  const etcd = await startEtcd(t)
  const { url } = await startEndpoint(t, {
    probe: {
      allow: [{ addresses: ['127.0.0.1'], ports: ['1-65535'] }],
      modules: {
        whole: { prober: 'grpc' },
        part: { prober: 'grpc', grpc: { service: 'etcdserverpb.Nothing', metadata: { 'x-from': ['test'] } } },
      },
    },
  })
  const ask = async (module: string) => {
    const response = await fetch(`${url}/probe?${new URLSearchParams({ module, target: etcd.url })}`)
    return readPage(await response.text())
  }
  const whole = await ask('whole')
  assert.equal(whole.value('probe_success'), 1)
  assert.equal(whole.value('probe_grpc_status_code'), 0)
  assert.equal(whole.value('probe_grpc_healthcheck_response', { serving_status: 'SERVING' }), 1)
  assert.equal(whole.value('probe_grpc_healthcheck_response', { serving_status: 'NOT_SERVING' }), 0)

  const part = await ask('part')
  assert.equal(part.value('probe_success'), 0)
  assert.equal(part.value('probe_grpc_status_code'), 5)
  assert.equal(part.value('probe_grpc_healthcheck_response', { serving_status: 'SERVING' }), 0)
})
