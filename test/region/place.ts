import { rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { AgentProcess } from './agent-process.ts'
import type { EdgeNodeAddress } from './births.ts'
import type { Cloud } from './cloud.ts'
import { firstFolder } from './folder.ts'
import type { Region } from './index.ts'
import type { MonitorProcess } from './monitor-process.ts'
import { project } from './scenario.ts'

/** A region that runs, and where all of it is. */
export type RunningRegion = { region: Region; cloud: Cloud; agent: AgentProcess; monitor: MonitorProcess; mqtt: EdgeNodeAddress }

/** What `.skerry/region.json` says, so that other programs can find the region. */
export type Place = {
  /** `ca` is PEM; the token has every scope. */
  agent: { url: string; ca: string; token: string }
  admin: { url: string }
  /** The cloud that the region has joined; `ca` is PEM. */
  cloud: { url: string; ca: string }
  /** With its credentials, if it needs any. */
  mqtt: EdgeNodeAddress
  monitor: { url: string }
  /** Path of a kubeconfig of the cluster's administrator. */
  kubeconfig: string
}

export function filesIn(folder: string) {
  return {
    region: `${folder}/region.json`,
    ca: `${folder}/ca.pem`,
    cloudCa: `${folder}/cloud-ca.pem`,
    token: `${folder}/token`,
    kubeconfig: `${folder}/kubeconfig`,
  }
}

/** Writes where everything is. It holds secrets, so nobody else may read it. */
export async function writePlace(folder: string, { region, cloud, agent, monitor, mqtt }: RunningRegion): Promise<void> {
  const files = filesIn(folder)
  await writeFile(files.ca, region.ca)
  await writeFile(files.kubeconfig, region.cluster.kubeconfig(), { mode: 0o600 })
  await writeFile(files.token, region.token, { mode: 0o600 })
  const place: Place = {
    agent: { url: agent.url, ca: region.ca, token: region.token },
    admin: { url: agent.adminUrl },
    cloud: { url: cloud.url, ca: cloud.ca },
    mqtt,
    monitor: { url: monitor.url },
    kubeconfig: path.resolve(files.kubeconfig),
  }
  await writeFile(files.region, `${JSON.stringify(place, null, 2)}\n`, { mode: 0o600 })
}

/** All of it is worthless once the region has ended. */
export async function removePlace(folder: string): Promise<void> {
  await Promise.all(Object.values(filesIn(folder)).map((file) => rm(file, { force: true })))
}

/** Ready-made lines for people. */
export function waysToGoOn({ agent: { url, adminUrl }, cloud, monitor, mqtt }: RunningRegion, folder: string): string {
  const files = filesIn(folder)
  const curl = `curl --cacert ${files.ca} -H "Authorization: Bearer $(cat ${files.token})"`
  const kubectl = `kubectl --kubeconfig ${files.kubeconfig}`
  const atCloud = `curl --cacert ${files.cloudCa} ${cloud.url}`
  const registration = `npx node agent/main.ts registration --kubeconfig ${files.kubeconfig}`
  const databases = `${url}/v1/projects/${project.id}/databases`
  const json = "-H 'content-type: application/json' -d"
  const buoy = '{"version":"5.99.0","nodes":{"count":1,"cpu":1,"memory":"2Gi","disk":{"size":"16Gi","storageClass":"crate-premium"}}}'
  return `
Go on with
  ${curl} ${databases}/tidal-gauge
  ${curl} -X POST ${databases}/tidal-gauge/actions/restart ${json} '{}'
  ${curl} -N ${url}/v1/events
  curl ${adminUrl}/metrics
  curl ${monitor.url}/metrics
  npx node test/region/watch-births.ts${folder === firstFolder ? '' : ` ${folder}`}
  ${mosquittoSub(mqtt)}
  ${kubectl} get projects,operations,cratedbs,registrations -A
See what the cloud has heard, let the region leave, and join again with the code that it shows then
  ${atCloud}/heard
  ${registration} leave
  ${registration} join --wait
  ${atCloud}/pair -d CODE
Put something in the way, and see what "blockers" says about it
  ${kubectl} -n crate-operator scale deployment crate-operator --replicas=0
  ${curl} -X PUT ${databases}/buoy ${json} '${buoy}'
  ${curl} ${databases}/buoy
  ${kubectl} -n crate-operator scale deployment crate-operator --replicas=1
The API is described at ${url}/docs. Ctrl-C ends it all.`
}

/** Its payloads are protobuf, so it shows topics and lengths. */
function mosquittoSub({ url, group }: EdgeNodeAddress): string {
  const { protocol, hostname, port, username } = new URL(url)
  const tls = protocol === 'mqtts:' ? ' --tls-use-os-certs' : ''
  const user = username === '' ? '' : ` -u ${decodeURIComponent(username)} -P …`
  return `mosquitto_sub -h ${hostname} -p ${port || (tls ? 8883 : 1883)}${tls}${user} -t 'spBv1.0/${group}/#' -F '%t %l bytes'`
}
