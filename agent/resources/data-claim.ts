/** Whether a claim is one of the data claims of a database, by the name that StatefulSet and Crate Operator give it. */
export function isClaimOf(claim: string, database: string): boolean {
  const [, rest] = /^data\d{1,3}-crate-(.+)-\d{1,4}$/.exec(claim) ?? []
  if (rest === undefined || !rest.endsWith(`-${database}`)) return false
  const group = rest.slice(0, -database.length - 1)
  return group === 'master' || /^data-[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(group)
}
