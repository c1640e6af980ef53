import { existsSync } from 'node:fs'
import { systemClock } from '../../shared/clock.ts'
import { loadConfig } from '../../shared/config/index.ts'
import { connectCluster } from '../../shared/kubernetes/connection.ts'
import { usualKubeconfigs } from '../../shared/kubernetes/credentials.ts'
import type { Log } from '../../shared/log.ts'
import { version } from '../../shared/version.ts'
import type { AgentConfig } from '../config.ts'
import { agentConfig } from '../config.ts'
import { createAcceptedState } from '../operations/accepted.ts'
import { actions } from '../operations/actions/index.ts'
import { decisionParts } from '../operations/deciding/parts.ts'
import { createJournal, type Journal } from '../operations/journal.ts'
import { createRequests, type OwnRequests } from '../operations/requests.ts'
import { type Caches, createCaches } from '../region/caches.ts'
import { createOperatorCache } from '../region/operator.ts'
import { createDatabaseSql } from '../region/sql.ts'
import type { Env } from './caller.ts'

/** The file that the chart mounts. */
const usualFile = '/etc/skerry/agent.yaml'

/** What accepts requests, without a server: as one more replica that never leads. */
export type Accepting = { requests: OwnRequests; journal: Journal; caches: Pick<Caches, 'operations'>; close(): Promise<void> }

/**
 * The configuration of the agent: the file, else that of the environment, else that of the chart.
 * @throws Error with its faults
 */
export function configFor(file: string | undefined, env: Env): AgentConfig {
  const path = file ?? env.SKERRY_AGENT_CONFIG ?? (existsSync(usualFile) ? usualFile : undefined)
  const loaded = loadConfig(agentConfig, { program: 'skerry-agent', version, argv: path === undefined ? [] : ['--config', path], env })
  if (loaded.kind === 'exit') {
    const hint =
      path === undefined ? `there is no ${usualFile}: run the command in a pod of the agent, or name the file with --config\n` : ''
    throw new Error(`${hint}${loaded.output.trimEnd()}`)
  }
  return loaded.config
}

/**
 * Reads the region as far as decisions need it. What is accepted is carried out by the agent that leads.
 * @throws Error when the cluster cannot be read before the signal aborts
 */
export async function openAccepting(config: AgentConfig, env: Env, { log, signal }: { log: Log; signal: AbortSignal }): Promise<Accepting> {
  const { namespace } = config.cluster
  const pod = {
    serviceHost: env.KUBERNETES_SERVICE_HOST,
    servicePort: env.KUBERNETES_SERVICE_PORT,
    usualKubeconfigs: usualKubeconfigs(env),
  }
  const clock = systemClock
  const cluster = await connectCluster({ ...config.cluster, ...pod }, { clock })
  const tools = { cluster, clock, log }
  const caches = createCaches({ namespace }, tools)
  const operatorAt = { namespace: config.crateOperator.namespace, name: config.crateOperator.deployment }
  const operator = createOperatorCache(operatorAt, tools)
  const journal = createJournal({ namespace }, { cluster, clock, operations: caches.operations, ledger: caches.ledger })
  const accepted = createAcceptedState({ journal, caches })
  const { operations, ledger, projects, databases, nodes, storageClasses, pods } = caches
  const parts = [operations, ledger, projects, databases, nodes, storageClasses, pods, operator, journal]
  const close = async () => {
    for (const part of parts.toReversed()) await part.stop(0)
    cluster.close()
  }
  try {
    await Promise.all(parts.map((part) => part.start(signal)))
  } catch (error) {
    await close()
    throw new Error('the cluster could not be read in time', { cause: error })
  }
  const sql = createDatabaseSql(config.databases, { cluster, caches })
  const deciding = decisionParts(config, { cluster, accepted, caches, operator, journal, sql, clock })
  return { requests: createRequests({ ...deciding, actions, journal }), journal, caches, close }
}
