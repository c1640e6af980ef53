import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stringify } from 'yaml'
import type * as z from 'zod'
import { checkKinds } from '../../../monitor/checks/index.ts'
import type { CheckKind } from '../../../monitor/checks/kind.ts'
import { checkFields } from '../../../monitor/prober/check-fields.ts'
import { type ParseOptions, parseChecks, sayFault, secretReferences } from '../../../monitor/prober/config.ts'
import { referenceKey } from '../../../monitor/prober/secrets.ts'
import type { Secret } from '../../../shared/fields.ts'
import { core, defOf, fieldNames } from '../../../shared/schema.ts'

const held: Record<string, string> = { '/secrets/password': 'hunter2\n', '/secrets/empty': '' }
const files = {
  read(path: string) {
    const text = held[path]
    if (text === undefined) throw new Error('there is no such file')
    return Buffer.from(text)
  },
}

function faultsOf(text: string, options: Partial<ParseOptions> = {}): string[] {
  const parsed = parseChecks(text, { files, ...options })
  return 'faults' in parsed ? parsed.faults.map((fault) => sayFault(fault, 'checks.yaml')) : []
}

function parsed(text: string, options: Partial<ParseOptions> = {}) {
  const file = parseChecks(text, { files, ...options })
  assert.ok(!('faults' in file), JSON.stringify(file))
  return file
}

test('a check needs a name, a kind and what the kind asks for; the rest has defaults', () => {
  const { checks, allowActions } = parsed('checks: [{name: shop, kind: tcp, host: shop.example.com, port: 443}]')
  assert.equal(allowActions, false)
  assert.deepEqual(checks, [
    {
      name: 'shop',
      kind: 'tcp',
      target: 'shop.example.com:443',
      options: { host: 'shop.example.com', port: 443, maxBytes: 16_384 },
      group: 'checks',
      severity: 'warning',
      labels: {},
      intervalMs: 30_000,
      timeoutMs: 10_000,
      retries: 2,
      retryDelayMs: 1_000,
      recoveryDelayMs: 0,
      dependsOn: [],
      actions: [],
    },
  ])
})

test('an empty file has no checks', () => {
  for (const text of ['', '{}', '# nothing yet\n', 'checks: []']) assert.deepEqual(parsed(text).checks, [])
})

test('defaults hold for every check that does not say otherwise; labels are added to', () => {
  const { checks } = parsed(`
defaults: {interval: 1m, timeout: 20s, retries: 0, retryDelay: 2s, recoveryDelay: 5m, severity: critical, group: quay, labels: {team: sea, site: north}}
checks:
  - {name: a, kind: tcp, host: h, port: 1}
  - {name: b, kind: tcp, host: h, port: 1, interval: 5s, retries: 4, retryDelay: 0s, recoveryDelay: 1s, severity: info, group: reef, labels: {team: land}}
`)
  const [a, b] = checks.map(({ options: _, kind: __, target: ___, ...check }) => check)
  const common = { dependsOn: [], actions: [] }
  assert.deepEqual(a, {
    ...common,
    name: 'a',
    intervalMs: 60_000,
    timeoutMs: 20_000,
    retries: 0,
    retryDelayMs: 2_000,
    recoveryDelayMs: 300_000,
    severity: 'critical',
    group: 'quay',
    labels: { team: 'sea', site: 'north' },
  })
  assert.deepEqual(b, {
    ...common,
    name: 'b',
    intervalMs: 5_000,
    timeoutMs: 5_000,
    retries: 4,
    retryDelayMs: 0,
    recoveryDelayMs: 1_000,
    severity: 'info',
    group: 'reef',
    labels: { team: 'land', site: 'north' },
  })
})

const kinds = Object.entries<CheckKind>(checkKinds)
for (const [name, kind] of kinds) {
  test(`the example of ${name} is a check as it stands, and no option of it is called like a field that every check has`, () => {
    const anything = { read: () => Buffer.from('hunter2') }
    const text = stringify({ checks: [{ name: `my-${name}`, kind: name, ...(kind.example as object) }] })
    assert.deepEqual(faultsOf(text, { files: anything }), [])
    const common = fieldNames(checkFields)
    assert.deepEqual(
      fieldNames(kind.options).filter((option) => common.includes(option)),
      [],
    )
  })
}

test('a name may have every sign that can be seen, as those from other tools do', () => {
  const names = ['Portfolio (LAN)', "Anna's NAS", 'web & api', 'GitHub | API', '[prod] "quay" <7> \\ 50 %', 'Büro ❤️ 港', 'Jose\u0301']
  const { checks } = parsed(stringify({ checks: names.map((name) => ({ name, kind: 'tcp', host: 'h', port: 1 })) }))
  assert.deepEqual(
    checks.map(({ name }) => name),
    names,
  )
})

const check = (more: string) => `checks:\n  - {name: shop, kind: tcp, host: h, port: 1, ${more}}\n`
const samples: { name: string; text: string; want: string[]; options?: Partial<ParseOptions> }[] = [
  {
    name: 'a kind that nobody knows',
    text: 'checks: [{name: a, kind: postgres}]',
    want: ['1:26: checks[0].kind is not a kind of check; did you mean "postgresql"?'],
  },
  {
    name: 'a field that nobody knows',
    text: check('intervall: 3s'),
    want: ['2:47: checks[0].intervall is not recognized; did you mean "interval"?'],
  },
  {
    name: 'an option of the kind that is misspelt',
    text: 'checks: [{name: a, kind: tcp, hostt: h, host: h, port: 1}]',
    want: ['1:31: checks[0].hostt is not recognized; did you mean "host"?'],
  },
  { name: 'an option that is missing', text: 'checks: [{name: a, kind: tcp, host: h}]', want: ['1:10: checks[0].port is required'] },
  { name: 'a check without a name', text: 'checks: [{kind: tcp, host: h, port: 1}]', want: ['1:10: checks[0].name is required'] },
  {
    name: 'a name that is there already',
    text: 'checks:\n  - {name: a, kind: tcp, host: h, port: 1}\n  - {name: a, kind: tcp, host: h, port: 2}',
    want: ['3:12: checks[1].name is that of checks[0] already'],
  },
  {
    name: 'a name with control characters',
    text: 'checks: [{name: "a\\n", kind: tcp, host: h, port: 1}]',
    want: ['1:17: checks[0].name must be letters, digits, signs and blanks, on one line and without a blank at its ends'],
  },
  {
    name: 'a name with characters that nobody sees',
    text: 'checks: [{name: "a\\u3164b", kind: tcp, host: h, port: 1}]',
    want: ['1:17: checks[0].name must not contain invisible characters'],
  },
  {
    name: 'a secret that is given instead of the file that holds it',
    text: 'checks: [{name: a, kind: redis, host: h, password: s}, {name: b, kind: http, url: "http://h", token: s, ca: s, cert: s, privateKey: s}]',
    want: [
      ...[
        ['1:42', 0, 'password', 'password'],
        ['1:95', 1, 'token', 'token'],
        ['1:105', 1, 'ca', 'ca'],
        ['1:112', 1, 'cert', 'certificate'],
        ['1:121', 1, 'privateKey', 'key'],
      ].map(
        ([at, index, given, file]) =>
          `${at}: checks[${index}].${given} is not recognized: put it into a file, and the path of that file into ${file}File`,
      ),
    ],
  },
  {
    name: 'a timeout longer than the interval',
    text: check('interval: 5s, timeout: 6s'),
    want: ['2:70: checks[0].timeout must not be longer than the interval, which is 5s'],
  },
  {
    name: 'defaults whose timeout is longer than their interval',
    text: 'defaults: {interval: 5s, timeout: 1m}',
    want: ['1:35: defaults.timeout must not be longer than the interval, which is 5s'],
  },
  {
    name: 'a duration without a unit',
    text: check('interval: 30'),
    want: ['2:57: checks[0].interval must be a duration: a number with its unit, such as 250ms, 30s, 5m or 2h'],
  },
  { name: 'an interval shorter than a second', text: check('interval: 10ms'), want: ['2:57: checks[0].interval must be at least 1s'] },
  { name: 'a negative number of retries', text: check('retries: -1'), want: ['2:56: checks[0].retries must be at least 0'] },
  {
    name: 'a severity that there is not',
    text: check('severity: bad'),
    want: ['2:57: checks[0].severity must be one of "info", "warning", "critical"'],
  },
  {
    name: 'a label that Skerry gives itself',
    text: check('labels: {target: x}'),
    want: [
      '2:56: checks[0].labels.target is not an allowed name: it must not be one of check, kind, target, severity, state, reason, le, quantile, job, instance',
    ],
  },
  {
    name: 'a label that Prometheus does not allow',
    text: check('labels: {the-team: x}'),
    want: [
      '2:56: checks[0].labels.the-team is not an allowed name: it must be letters, digits and underscores, and not begin with a digit',
    ],
  },
  {
    name: 'a label that Prometheus keeps for itself',
    text: check('labels: {__team: x}'),
    want: [
      '2:56: checks[0].labels.__team is not an allowed name: it must not begin with two underscores, which are reserved for Prometheus',
    ],
  },
  {
    name: 'a group that cannot stand in a topic',
    text: check('group: a/b'),
    want: ['2:54: checks[0].group must not contain "+", "#" or "/"'],
  },
  {
    name: 'a dependency that is no check',
    text: check('dependsOn: [chop]'),
    want: ['2:59: checks[0].dependsOn[0] names no check; did you mean "shop"?'],
  },
  { name: 'a check that depends on itself', text: check('dependsOn: [shop]'), want: ['2:47: checks[0].dependsOn names the check itself'] },
  {
    name: 'checks that depend on each other in a circle',
    text: 'checks:\n  - {name: a, kind: tcp, host: h, port: 1, dependsOn: [b]}\n  - {name: b, kind: tcp, host: h, port: 1, dependsOn: [c]}\n  - {name: c, kind: tcp, host: h, port: 1, dependsOn: [a]}',
    want: ['2:44: checks[0].dependsOn goes in a circle: a → b → c → a'],
  },
  {
    name: 'a secret whose file is not there',
    text: 'checks: [{name: a, kind: redis, host: h, passwordFile: /secrets/none}]',
    want: ['1:56: checks[0].passwordFile names /secrets/none: there is no such file'],
  },
  {
    name: 'a secret whose file is empty',
    text: 'checks: [{name: a, kind: redis, host: h, passwordFile: /secrets/empty}]',
    want: ['1:56: checks[0].passwordFile names /secrets/empty, which is empty'],
  },
  {
    name: 'an action that is not allowed',
    text: check('actions: [{type: restart-unit, unit: nginx.service}]'),
    want: ['2:47: checks[0].actions needs allowActions: true at the top of the file; false there keeps all actions off'],
  },
  {
    name: 'an action that there is not',
    text: `allowActions: true\n${check('actions: [{type: reboot}]')}`,
    want: ['3:64: checks[0].actions[0].type must be one of "webhook", "restart-pod", "restart-unit"'],
  },
  {
    name: 'an action more often than once a minute',
    text: `allowActions: true\n${check('actions: [{type: restart-unit, unit: a.service, every: 5s}]')}`,
    want: ['3:102: checks[0].actions[0].every must be at least 1m'],
  },
  {
    name: 'a unit that is an option',
    text: `allowActions: true\n${check('actions: [{type: restart-unit, unit: --force}]')}`,
    want: ['3:84: checks[0].actions[0].unit must be the name of a systemd unit, such as nginx.service'],
  },
  {
    name: 'a selector that finds everything',
    text: `allowActions: true\n${check('actions: [{type: restart-pod, namespace: a, selector: ""}]')}`,
    want: ['3:101: checks[0].actions[0].selector must be labels with their values, such as app=shop,tier=web'],
  },
  {
    name: 'a webhook that goes nowhere',
    text: `allowActions: true\n${check('actions: [{type: webhook}]')}`,
    want: ['3:57: checks[0].actions[0] needs either url or urlFile'],
  },
  { name: 'a section that nobody knows', text: 'chekcs: []', want: ['1:1: chekcs is not recognized; did you mean "checks"?'] },
  { name: 'another section', text: 'probe: {}', want: ['1:1: probe is not recognized; expected one of defaults, allowActions, checks'] },
  { name: 'a list instead of an object', text: '[a]', want: ['1:1: must be an object with the field checks'] },
  { name: 'checks that are no list', text: 'checks: {a: 1}', want: ['1:1: checks must be a list, not an object'] },
  { name: 'a check that is no object', text: 'checks: [7]', want: ['1:10: checks[0] must be an object, not a number'] },
  {
    name: 'YAML that is none',
    text: 'checks: [',
    want: ['1:10: flow sequence in block collection must be sufficiently indented and end with a ]'],
  },
]
for (const { name, text, want, options } of samples)
  test(`${name} is refused, with its place and what to do`, () => {
    assert.deepEqual(
      faultsOf(text, options),
      want.map((fault) => `checks.yaml:${fault}`),
    )
  })

test('all faults are named at once, in the order of the file', () => {
  const faults = faultsOf(`
defaults: {retries: many}
checks:
  - {name: a, kind: htp, interval: 1}
  - {name: b, kind: tcp, host: h, port: 0, dependsOn: [x]}
  - {name: b, kind: redis, host: h, passwordFile: /secrets/none, labels: {le: x}}
`)
  assert.deepEqual(
    faults.map((fault) => fault.split(' ')[1]),
    [
      'defaults.retries',
      'checks[0].kind',
      'checks[0].interval',
      'checks[1].port',
      'checks[1].dependsOn[0]',
      'checks[2].name',
      'checks[2].passwordFile',
      'checks[2].labels.le',
    ],
  )
})

test('a fault quotes nothing that may be secret', () => {
  const faults = faultsOf('checks: [{name: a, kind: http, url: "http://user:hunter2@h/", headers: hunter2, body: [hunter2]}]')
  assert.equal(faults.length, 3)
  assert.ok(!faults.join().includes('hunter2'), faults.join('\n'))
})

test('a dependency on a check that is found in the cluster is no fault', () => {
  const { checks } = parsed(check('dependsOn: [kubernetes]'), { isDiscovered: (name) => name === 'kubernetes' })
  assert.deepEqual(checks[0]?.dependsOn, ['kubernetes'])
})

const bombs: { name: string; text: string; want: RegExp }[] = [
  {
    name: 'anchors that multiply',
    text: `a: &a [x,x,x,x,x,x,x,x,x,x]\n${['b', 'c', 'd', 'e', 'f', 'g', 'h'].map((name, index) => `${name}: &${name} [${`*${'abcdefg'[index]},`.repeat(10)}]`).join('\n')}\n`,
    want: /too many values|more than/,
  },
  { name: 'an anchor that contains itself', text: 'checks: &a [*a]\n', want: /nested|too many values/ },
  { name: 'a depth that nobody needs', text: `checks: ${'['.repeat(5_000)}${']'.repeat(5_000)}`, want: /nested/ },
  { name: 'two documents', text: 'checks: []\n---\nchecks: []\n', want: /second document/ },
  { name: 'a tag', text: 'checks: !!js/function x\n', want: /tag/ },
  { name: 'a field twice', text: 'checks: []\nchecks: []\n', want: /duplicate key/ },
]
for (const { name, text, want } of bombs) test(`a file with ${name} is refused`, () => assert.match(faultsOf(text).join('\n'), want))

test('secrets are read from their files, and the files are named for whoever follows them', () => {
  const { checks, secretFiles } = parsed(`
allowActions: true
checks:
  - name: a
    kind: redis
    host: h
    passwordFile: /secrets/password
    actions: [{type: webhook, url: 'https://hooks.example.com/', headerFiles: {Authorization: /secrets/password}, every: 1m}]
`)
  const [{ options, actions } = assert.fail()] = checks
  assert.equal((options as { passwordFile: Secret }).passwordFile.reveal(), 'hunter2')
  assert.deepEqual(secretFiles, ['/secrets/password'])
  const [action] = actions
  assert.ok(action?.type === 'webhook')
  assert.deepEqual([action.url, action.everyMs, action.headers?.Authorization?.reveal()], ['https://hooks.example.com/', 60_000, 'hunter2'])
})

test('a Secret of the cluster may stand wherever the file of a secret may', () => {
  const text = 'checks: [{name: a, kind: redis, host: h, passwordFile: {secretName: redis, key: password, namespace: shop}}]'
  const [reference = assert.fail()] = secretReferences(text)
  assert.deepEqual(reference, { secretName: 'redis', key: 'password', namespace: 'shop' })
  const key = referenceKey(reference)
  const { checks, secretFiles } = parsed(text, { secrets: new Map([[key, 'hunter2']]) })
  const [{ options } = assert.fail()] = checks
  assert.equal((options as { passwordFile: Secret }).passwordFile.reveal(), 'hunter2')
  assert.deepEqual(secretFiles, [])
  const missing = new Map([[key, new Error('it is not there')]])
  assert.deepEqual(faultsOf(text, { secrets: missing }), [
    'checks.yaml:1:42: checks[0].passwordFile names key password of the Secret shop/redis: it is not there',
  ])
  assert.match(faultsOf(text).join(), /Secrets of the cluster cannot be read here/)
  assert.match(faultsOf('checks: [{name: {secretName: a, key: b}, kind: tcp, host: h, port: 1}]').join(), /must be a string/)
})

test('actions that are switched off are checked and not taken; a reload with true brings them back', () => {
  const text = (allow: boolean) => `allowActions: ${allow}\n${check('actions: [{type: restart-unit, unit: nginx.service}]')}`
  assert.deepEqual(parsed(text(false)).checks[0]?.actions, [])
  assert.deepEqual(parsed(text(true)).checks[0]?.actions, [{ type: 'restart-unit', unit: 'nginx.service', everyMs: 600_000 }])
})

test('every field of a check is described', () => {
  for (const [name, field] of Object.entries(defOf(core(checkFields)).shape ?? {})) {
    const layers = [field, defOf(field).innerType].filter((layer) => layer !== undefined)
    assert.ok(
      layers.some((layer) => (layer as z.ZodType).description !== undefined),
      name,
    )
  }
})

test('a file with a thousand checks is read', () => {
  const lines = Array.from(
    { length: 1_000 },
    (_, index) => `  - {name: check-${index}, kind: http, url: 'http://h/${index}', labels: {team: sea}}`,
  )
  assert.equal(parsed(`checks:\n${lines.join('\n')}\n`).checks.length, 1_000)
})

test('two heartbeats have not the same id, and a token is not blank', () => {
  const parsed = parseChecks(
    `checks:
  - { name: a, kind: heartbeat, id: sync, tokenFile: /token, within: 1h }
  - { name: b, kind: heartbeat, id: sync, tokenFile: /token, within: 1h }
  - { name: c, kind: heartbeat, id: other, tokenFile: /blank, within: 1h }`,
    { files: { read: (path) => Buffer.from(path === '/blank' ? ' \n' : 'anchor') } },
  )
  assert.ok('faults' in parsed)
  assert.deepEqual(
    parsed.faults.map(({ path, message }) => `${path} ${message}`),
    ['checks[1].id is that of checks[0] already', 'checks[2].tokenFile names /blank, which is empty'],
  )
})
