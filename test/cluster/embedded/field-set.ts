import type { Json } from './object.ts'

/**
 * A set of field paths, kept as the tree that `FieldsV1` is: keys are `f:name`, `k:{"name":"a"}` (a list item by its keys)
 * or `v:"a"` (a member of a set). `member` says whether the path that ends here belongs to the set itself.
 */
export class FieldSet {
  member = false
  readonly children = new Map<string, FieldSet>()

  child(step: string): FieldSet {
    let child = this.children.get(step)
    if (!child) {
      child = new FieldSet()
      this.children.set(step, child)
    }
    return child
  }

  /** Adds the path that ends at this step. */
  add(step: string): FieldSet {
    const child = this.child(step)
    child.member = true
    return child
  }

  get empty(): boolean {
    if (this.member) return false
    for (const child of this.children.values()) if (!child.empty) return false
    return true
  }

  /** Empty: neither a member nor a path to one below. Most writes take nothing from most managers. */
  get #isBare(): boolean {
    return !this.member && this.children.size === 0
  }

  union(other: FieldSet): FieldSet {
    if (other.#isBare) return this
    const result = new FieldSet()
    result.member = this.member || other.member
    for (const [step, child] of this.children) {
      const theirs = other.children.get(step)
      result.children.set(step, theirs ? child.union(theirs) : child)
    }
    for (const [step, child] of other.children) if (!this.children.has(step)) result.children.set(step, child)
    return result
  }

  /** The paths in this set but not in the other. */
  minus(other: FieldSet): FieldSet {
    if (other.#isBare) return this
    const result = new FieldSet()
    result.member = this.member && !other.member
    for (const [step, child] of this.children) {
      const theirs = other.children.get(step)
      const rest = theirs ? child.minus(theirs) : child
      if (!rest.empty) result.children.set(step, rest)
    }
    return result
  }

  /** The paths in this set that are not below a path of the other: removing a list item removes its fields. */
  minusBelow(other: FieldSet): FieldSet {
    if (other.member) return new FieldSet()
    if (other.#isBare) return this
    const result = new FieldSet()
    result.member = this.member
    for (const [step, child] of this.children) {
      const theirs = other.children.get(step)
      const rest = theirs ? child.minusBelow(theirs) : child
      if (!rest.empty) result.children.set(step, rest)
    }
    return result
  }

  intersect(other: FieldSet): FieldSet {
    const result = new FieldSet()
    result.member = this.member && other.member
    for (const [step, child] of this.children) {
      const theirs = other.children.get(step)
      if (!theirs) continue
      const common = child.intersect(theirs)
      if (!common.empty) result.children.set(step, common)
    }
    return result
  }

  /** Only the paths under the given top-level fields, or all others. */
  underTop(fields: readonly string[], keep: boolean): FieldSet {
    const result = new FieldSet()
    for (const [step, child] of this.children) {
      if (fields.includes(step.slice(2)) === keep) result.children.set(step, child)
    }
    return result
  }

  equals(other: FieldSet): boolean {
    return this === other || (this.minus(other).empty && other.minus(this).empty)
  }

  /** Every path as Kubernetes prints it: `.spec.containers[name="a"].image`. */
  paths(prefix = ''): string[] {
    const own = this.member && prefix ? [prefix] : []
    return own.concat([...this.children].flatMap(([step, child]) => child.paths(prefix + printed(step))))
  }

  toV1(): Record<string, Json> {
    const result: Record<string, Json> = {}
    const steps = [...this.children.keys()].filter((step) => !this.children.get(step)?.empty).sort()
    if (this.member && steps.length > 0) result['.'] = {}
    for (const step of steps) result[step] = this.children.get(step)?.toV1()
    return result
  }

  static fromV1(fields: Record<string, Json>): FieldSet {
    const result = new FieldSet()
    for (const [step, below] of Object.entries(fields)) {
      if (step === '.') continue
      const child = FieldSet.fromV1(below)
      child.member = Object.keys(below).length === 0 || Object.hasOwn(below, '.')
      result.children.set(step, child)
    }
    return result
  }
}

function printed(step: string): string {
  if (step.startsWith('f:')) return `.${step.slice(2)}`
  if (step.startsWith('v:')) return `[=${step.slice(2)}]`
  const keys: Record<string, Json> = JSON.parse(step.slice(2))
  const texts = Object.keys(keys)
    .sort()
    .map((key) => `${key}=${JSON.stringify(keys[key])}`)
  return `[${texts.join(',')}]`
}
