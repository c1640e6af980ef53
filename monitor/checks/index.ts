import { agent } from './agent.ts'
import { cloudflared } from './cloudflared.ts'
import { cratedb } from './cratedb.ts'
import { dns } from './dns.ts'
import { docker } from './docker.ts'
import { domain } from './domain.ts'
import { elasticsearch } from './elasticsearch.ts'
import { exec } from './exec.ts'
import { haproxy } from './haproxy.ts'
import { heartbeat } from './heartbeat.ts'
import { http } from './http.ts'
import { kafka } from './kafka.ts'
import type { CheckKind } from './kind.ts'
import { kubelet } from './kubelet.ts'
import { kubernetes } from './kubernetes.ts'
import { mongodb } from './mongodb.ts'
import { mqtt } from './mqtt.ts'
import { mysql } from './mysql.ts'
import { postgresql } from './postgresql.ts'
import { prometheus } from './prometheus.ts'
import { rabbitmq } from './rabbitmq.ts'
import { redis } from './redis.ts'
import { sparkplugNode } from './sparkplug-node.ts'
import { tcp } from './tcp.ts'
import { tls } from './tls.ts'
import { volume } from './volume.ts'
import { zookeeper } from './zookeeper.ts'

/**
 * Every kind of health check. A new kind is a file and an entry here; configuration, documentation and series follow from the entry.
 * Importing this table loads no client library: each kind imports its own when it first runs.
 */
export const checkKinds = {
  kubernetes,
  kubelet,
  agent,
  cratedb,
  volume,
  'sparkplug-node': sparkplugNode,
  cloudflared,
  prometheus,
  docker,
  http,
  tcp,
  tls,
  dns,
  mqtt,
  postgresql,
  mysql,
  mongodb,
  redis,
  rabbitmq,
  kafka,
  zookeeper,
  elasticsearch,
  haproxy,
  heartbeat,
  domain,
  exec,
} satisfies Record<string, CheckKind>

/** The name of a kind of health check. */
export type CheckKindName = keyof typeof checkKinds

/** Whether there is a kind of that name. */
export function isCheckKindName(name: string): name is CheckKindName {
  return Object.hasOwn(checkKinds, name)
}

/** The kind of that name, for a caller that does not know its options; undefined if there is none. */
export function checkKindNamed(name: string): CheckKind | undefined {
  return isCheckKindName(name) ? checkKinds[name] : undefined
}
