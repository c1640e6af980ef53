import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type * as z from 'zod'
import type { MonitorEndpointNeeds } from '../../../monitor/metrics/index.ts'
import type { probeConfig } from '../../../monitor/probe/config.ts'
import { startEndpoint } from '../metrics/endpoint-in-hand.ts'
import { type Page, readPage } from '../metrics/reading.ts'

/** A rule for everything on loopback but pings. */
export const loopback = { hosts: ['localhost', '*.example.com'], addresses: ['127.0.0.0/8'], ports: ['1-65535'] }

/** The endpoint with probes of loopback allowed, and a way to ask for one. */
export async function start(t: TestContext, probe: z.input<typeof probeConfig> = {}, needs: Partial<MonitorEndpointNeeds> = {}) {
  const { url } = await startEndpoint(t, { probe: { allow: [loopback], ...probe } }, needs)
  const ask = (query: Record<string, string>, headers: Record<string, string> = {}) =>
    fetch(`${url}/probe?${new URLSearchParams(query)}`, { headers })
  const run = async (query: Record<string, string>, headers: Record<string, string> = {}): Promise<Page> => {
    const response = await ask(query, headers)
    const text = await response.text()
    assert.equal(response.status, 200, text)
    return readPage(text)
  }
  return { url, ask, run }
}
