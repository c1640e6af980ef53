import type { Access } from '../access.ts'

/** What a borrower says, one JSON text in a line: first which CRDs it needs, as YAML. */
export type Wish = { crds: string[] } | { do: 'suspend' | 'resume' }
/** What it is told of each. */
export type Told = { access: Access } | { done: true } | { error: string }
