import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import type { RegistrationStatus } from '../cloud/registration/status.ts'

/** A registration for people, each fact in a line. Pure. */
export function registrationTable(found: KubernetesObject | undefined, namespace: string): string {
  if (found?.status === undefined) {
    const what = found === undefined ? 'There is no Registration' : 'Nothing is known yet about the Registration'
    return `${what} in the namespace ${namespace}. The agent writes it once its configuration names a cloud (cloud.url) and it leads.\n`
  }
  const {
    state,
    reason,
    message,
    action,
    since,
    pairing,
    cloud,
    id,
    thumbprint,
    credential,
    lastHeard,
    attempts,
    nextAttempt,
    name,
    tags,
  } = found.status as RegistrationStatus
  const tried = attempts > 0 ? ` (${attempts} in vain so far)` : ''
  const rows: [string, string | undefined][] = [
    ['State', `${state} since ${since} (${reason})`],
    ['', message],
    ['To do', action],
    ['Pairing code', pairing && `${pairing.code}, until ${pairing.expires}`],
    ['Next attempt', nextAttempt ? `${nextAttempt}${tried}` : state === 'Refused' ? 'none, until somebody has done something' : undefined],
    ['Cloud', cloud],
    ['Region there', id],
    ['Name', name],
    [
      'Tags',
      tags &&
        Object.entries(tags)
          .map((tag) => tag.join('='))
          .join(', '),
    ],
    ['Thumbprint', thumbprint],
    ['Credential', credential && `until ${credential.expires}, renewed at ${credential.renews}`],
    ['Last heard', lastHeard],
    ['Wanted', found.spec?.joined === false ? 'to leave the cloud' : undefined],
  ]
  const shown = rows.filter((row): row is [string, string] => row[1] !== undefined && row[1] !== '')
  return shown.map(([what, says]) => `${what.padEnd(14)}${says}\n`).join('')
}
