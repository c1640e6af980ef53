/** A rule of a `discovery.relabel` component of Grafana Alloy. */
type Rule = { source: string[]; separator: string; regex: string; target: string; replacement: string }

/**
 * The labels that are left of a target after the rules of `discovery.relabel` in a configuration of Alloy: those that do not begin with
 * two underscores, besides `__path__`. It knows the action `replace` alone, which is the default, and an empty value is no label.
 *
 * @throws Error for a rule with an argument that it does not know
 */
export function labelsByRules(configuration: string, target: Record<string, string>): Record<string, string> {
  const labels = { ...target }
  for (const { source, separator, regex, target: name, replacement } of rulesOf(configuration)) {
    const found = new RegExp(`^(?:${regex})$`).exec(source.map((label) => labels[label] ?? '').join(separator))
    if (found === null) continue
    const value = replacement.replaceAll(/\$(\d)/g, (_, group) => found[Number(group)] ?? '')
    if (value === '') delete labels[name]
    else labels[name] = value
  }
  return Object.fromEntries(Object.entries(labels).filter(([name]) => name === '__path__' || !name.startsWith('__')))
}

function rulesOf(configuration: string): Rule[] {
  const [, component = ''] = /^discovery\.relabel "\w+" \{\n(.*?)^\}/ms.exec(configuration) ?? []
  return [...component.matchAll(/^ +rule \{\n(.*?)^ +\}/gms)].map(([, body = '']) => {
    const rule: Rule = { source: [], separator: ';', regex: '(.*)', target: '', replacement: '$1' }
    for (const [, key, value = ''] of body.matchAll(/^\s+(\w+)\s*=\s*(\[[^\]]*\]|".*")$/gm)) {
      if (key === 'source_labels') rule.source = [...value.matchAll(/"([^"]*)"/g)].map(([, label]) => label as string)
      else if (key === 'target_label') rule.target = JSON.parse(value)
      else if (key === 'separator' || key === 'regex' || key === 'replacement') rule[key] = JSON.parse(value)
      else throw new Error(`a rule has ${key}`)
    }
    return rule
  })
}
