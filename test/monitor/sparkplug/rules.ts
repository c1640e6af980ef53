import assert from 'node:assert/strict'
import type { Heard, HeardConnect } from './broker.ts'
import { type DecodedMetric, propertiesOf, valueFields } from './schema.ts'

/** What one node did, from its first CONNECT on, as the broker saw it. `connects` and `subscriptions` only where the broker can tell. */
export type Trace = {
  /** Whether data names the types of its values; it does when left out. */
  hasDatatypes?: boolean
  group: string
  node: string
  messages: Heard[]
  connects?: HeardConnect[]
  subscriptions?: { topic: string; qos: number; at: number }[]
}

/** One rule of the specification, with the ids it stands for, checked on a whole trace. */
export type Rule = { ids: string; says: string; check: (trace: Trace) => void }

const births = (trace: Trace) => trace.messages.filter(({ verb }) => verb.endsWith('BIRTH'))
const datas = (trace: Trace) => trace.messages.filter(({ verb }) => verb.endsWith('DATA'))
const ofVerb = (trace: Trace, ...verbs: string[]) => trace.messages.filter(({ verb }) => verbs.includes(verb))
const some = <T>(list: T[], what: string): T[] => {
  assert.ok(list.length > 0, `the trace has ${what}`)
  return list
}
const metricNamed = (message: Heard, name: string) => message.payload.metrics.find((metric) => metric.name === name)
const isTime = (time: number | undefined) => time !== undefined && Math.abs(time - Date.now()) < 10 * 60_000

/** What holds of every trace of a node. */
export const rules: Rule[] = [
  {
    ids: 'topic-structure topic-structure-namespace-a topics-nbirth-topic topics-ndata-topic topics-dbirth-topic topics-ddata-topic topics-ddeath-topic topics-ndeath-topic message-flow-edge-node-birth-publish-nbirth-topic message-flow-device-birth-publish-dbirth-topic message-flow-edge-node-birth-publish-will-message-topic topic-structure-namespace-device-id-associated-message-types topic-structure-namespace-device-id-non-associated-message-types message-flow-device-birth-publish-dbirth-match-edge-node-topic topic-structure-namespace-unique-edge-node-descriptor payloads-nbirth-edge-node-descriptor intro-edge-node-id-uniqueness',
    says: 'publishes on spBv1.0/group/verb/node, with the device exactly where the verb is one of a device',
    check({ group, node, messages }) {
      for (const { topic, verb, device } of some(messages, 'messages')) {
        assert.match(verb, /^(N|D)(BIRTH|DATA|DEATH)$/)
        assert.equal(topic, `spBv1.0/${group}/${verb}/${node}${verb.startsWith('D') ? `/${device}` : ''}`)
        assert.equal(verb.startsWith('D'), device !== undefined && device !== '')
      }
    },
  },
  {
    ids: 'topics-nbirth-mqtt topics-ndata-mqtt topics-dbirth-mqtt topics-ddata-mqtt topics-ddeath-mqtt payloads-nbirth-qos payloads-nbirth-retain payloads-dbirth-qos payloads-dbirth-retain payloads-ndata-qos payloads-ndata-retain payloads-ddata-qos payloads-ddata-retain message-flow-edge-node-birth-publish-nbirth-qos message-flow-edge-node-birth-publish-nbirth-retained message-flow-device-birth-publish-dbirth-qos message-flow-device-birth-publish-dbirth-retained',
    says: 'sends all but its death at QoS 0 and retains nothing',
    check(trace) {
      for (const { verb, qos, retain } of trace.messages) {
        assert.equal(retain, false)
        if (verb !== 'NDEATH') assert.equal(qos, 0, verb)
      }
    },
  },
  {
    ids: 'payloads-timestamp-in-UTC topics-nbirth-timestamp topics-dbirth-timestamp topics-ndata-timestamp topics-ddata-timestamp payloads-nbirth-timestamp payloads-dbirth-timestamp payloads-ndata-timestamp payloads-ddata-timestamp payloads-ddeath-timestamp message-flow-edge-node-birth-publish-nbirth-payload message-flow-device-birth-publish-dbirth-payload',
    says: 'puts the time of sending, in Unix milliseconds, into every payload',
    check(trace) {
      for (const { verb, payload } of trace.messages) assert.ok(isTime(payload.timestamp), `${verb} ${payload.timestamp}`)
    },
  },
  {
    ids: 'payloads-sequence-num-always-included payloads-sequence-num-incrementing payloads-sequence-num-req-nbirth topics-nbirth-seq-num topics-ndata-seq-num topics-ddata-seq-num topics-dbirth-seq topics-ddeath-seq-num payloads-nbirth-seq payloads-ndata-seq payloads-ddata-seq payloads-dbirth-seq payloads-ddeath-seq payloads-ddeath-seq-number payloads-ndata-seq-inc payloads-ddata-seq-inc payloads-dbirth-seq-inc payloads-ddeath-seq-inc message-flow-edge-node-birth-publish-nbirth-payload-seq message-flow-device-birth-publish-dbirth-payload-seq',
    says: 'counts seq from 0 at each NBIRTH by one, over all messages of node and devices, and after 255 from 0',
    check(trace) {
      let last: number | undefined
      for (const { verb, payload } of trace.messages) {
        if (verb === 'NDEATH') continue
        assert.equal(payload.seq, verb === 'NBIRTH' ? 0 : ((last as number) + 1) % 256, verb)
        last = payload.seq
      }
    },
  },
  {
    ids: 'principles-birth-certificates-order message-flow-device-birth-publish-nbirth-wait payloads-dbirth-order payloads-ndata-order payloads-ddata-order operational-behavior-device-ddeath',
    says: 'is born before its devices, and these before their data; nothing comes of a device after its death',
    check(trace) {
      let isBorn = false
      const devices = new Set<string>()
      for (const { verb, device = '' } of trace.messages) {
        if (verb === 'NBIRTH') {
          isBorn = true
          devices.clear()
        } else if (verb === 'NDEATH') isBorn = false
        else assert.ok(isBorn, `${verb} before the NBIRTH`)
        if (verb === 'DBIRTH') devices.add(device)
        if (verb === 'DDATA' || verb === 'DDEATH') assert.ok(devices.has(device), `${verb} of ${device} before its DBIRTH`)
        if (verb === 'DDEATH') devices.delete(device)
      }
    },
  },
  {
    ids: 'topics-nbirth-metrics topics-dbirth-metrics payloads-metric-datatype-req payloads-name-requirement payloads-metric-datatype-value payloads-metric-datatype-value-type operational-behavior-data-publish-nbirth-values operational-behavior-data-publish-dbirth-values',
    says: 'gives each metric of a birth a name, one of the types, and either one value or is_null',
    check(trace) {
      for (const { payload, verb } of some(births(trace), 'births')) {
        for (const metric of payload.metrics) {
          assert.ok(metric.name, verb)
          assert.ok((metric.datatype as number) >= 1 && (metric.datatype as number) <= 34, `${metric.name} has type ${metric.datatype}`)
          oneValue(metric)
        }
      }
    },
  },
  {
    ids: 'payloads-name-birth-data-requirement payloads-metric-timestamp-in-UTC operational-behavior-data-publish-nbirth-order operational-behavior-data-publish-dbirth-order',
    says: 'gives each metric its own time, and orders those that are no history by it',
    check(trace) {
      for (const { payload, verb } of trace.messages) {
        const times = payload.metrics.filter(({ isHistorical }) => !isHistorical).map(({ timestamp }) => timestamp as number)
        for (const { timestamp } of payload.metrics) assert.ok(isTime(timestamp), verb)
        assert.deepEqual(
          times,
          times.toSorted((a, b) => a - b),
          verb,
        )
      }
    },
  },
  {
    ids: 'topics-nbirth-bdseq-included payloads-nbirth-bdseq topics-nbirth-rebirth-metric payloads-nbirth-rebirth-req operational-behavior-data-commands-rebirth-name operational-behavior-data-commands-rebirth-datatype operational-behavior-data-commands-rebirth-value operational-behavior-data-commands-rebirth-name-aliases message-flow-edge-node-birth-publish-nbirth-payload-bdSeq',
    says: 'lists bdSeq as Int64 and Node Control/Rebirth as a false Boolean without an alias in each NBIRTH',
    check(trace) {
      for (const message of some(ofVerb(trace, 'NBIRTH'), 'an NBIRTH')) {
        assert.equal(metricNamed(message, 'bdSeq')?.datatype, 4)
        assert.ok(Number(metricNamed(message, 'bdSeq')?.longValue) < 256)
        const rebirth = metricNamed(message, 'Node Control/Rebirth')
        assert.deepEqual([rebirth?.datatype, rebirth?.booleanValue, rebirth?.alias], [11, false, undefined])
      }
    },
  },
  {
    ids: 'topics-ndeath-payload topics-ndeath-seq payloads-ndeath-seq payloads-ndeath-bdseq payloads-ndeath-will-message-qos payloads-ndeath-will-message-retain',
    says: 'dies with the bdSeq of its birth and nothing else, without seq, at QoS 1, not retained',
    check(trace) {
      let born: bigint | undefined
      for (const message of trace.messages) {
        if (message.verb === 'NBIRTH') born = metricNamed(message, 'bdSeq')?.longValue
        if (message.verb !== 'NDEATH') continue
        assert.deepEqual(
          message.payload.metrics.map(({ name, datatype }) => [name, datatype]),
          [['bdSeq', 4]],
        )
        assert.equal(message.payload.seq, undefined)
        assert.equal(message.retain, false)
        if (born !== undefined) assert.equal(message.payload.metrics[0]?.longValue, born)
      }
    },
  },
  {
    ids: 'topics-nbirth-metric-reqs topics-dbirth-metric-reqs operational-behavior-data-publish-nbirth operational-behavior-data-publish-dbirth payloads-alias-birth-requirement payloads-alias-data-cmd-requirement payloads-alias-uniqueness payloads-metric-datatype-not-req',
    says: 'sends only what was born, by alias alone if it has one and else by name, in the field of its type, with that type or without any, as configured',
    check(trace) {
      const born = new Map<string, Map<string | bigint, DecodedMetric>>()
      const aliases = new Map<bigint, string>()
      for (const { verb, device = '', payload } of trace.messages) {
        if (verb === 'NBIRTH') {
          born.clear()
          aliases.clear()
        }
        if (verb.endsWith('BIRTH')) {
          for (const { alias, name } of payload.metrics) {
            if (alias === undefined) continue
            assert.ok([undefined, `${device} ${name}`].includes(aliases.get(alias)), `alias ${alias} means two things`)
            aliases.set(alias, `${device} ${name}`)
          }
          born.set(device, new Map(payload.metrics.map((metric) => [metric.alias ?? (metric.name as string), metric])))
        }
        if (!verb.endsWith('DATA')) continue
        for (const metric of payload.metrics) {
          assert.equal(metric.alias !== undefined && metric.name !== undefined, false, 'alias and name')
          const birth = born.get(device)?.get(metric.alias ?? (metric.name as string))
          assert.ok(birth, `${metric.name ?? metric.alias} of ${device} was born`)
          assert.equal(metric.datatype, trace.hasDatatypes === false ? undefined : birth.datatype)
          oneValue(metric)
          if (!metric.isNull) assert.ok(fieldOf(birth.datatype as number) in metric, `type ${birth.datatype} in ${Object.keys(metric)}`)
        }
      }
    },
  },
  {
    ids: 'topics-ndata-payload topics-ddata-payload principles-rbe-recommended',
    says: 'sends data that has something in it',
    check: (trace) => {
      for (const { payload } of some(datas(trace), 'data')) assert.ok(payload.metrics.length > 0)
    },
  },
  {
    ids: 'payloads-propertyset-keys-array-size payloads-propertyset-values-array-size payloads-metric-propertyvalue-type-req payloads-metric-propertyvalue-type-type payloads-metric-propertyvalue-type-value payloads-propertyset-quality-value-type payloads-propertyset-quality-value-value',
    says: 'types each property, as many keys as values, with Quality one of 0, 192 and 500 as Int32',
    check(trace) {
      for (const { payload } of trace.messages) {
        for (const metric of payload.metrics) {
          if (metric.properties === undefined) continue
          assert.equal(metric.properties.keys.length, metric.properties.values.length)
          for (const { type } of metric.properties.values) assert.ok((type as number) >= 1 && (type as number) <= 15)
          const { Quality } = propertiesOf(metric)
          if (Quality !== undefined) assert.ok(Quality.type === 3 && [0, 192, 500].includes(Quality.intValue as number))
        }
      }
    },
  },
  {
    ids: 'payloads-dataset-column-size payloads-dataset-column-num-headers payloads-dataset-parameter-type-req payloads-dataset-types-def payloads-dataset-types-num payloads-dataset-types-type payloads-dataset-types-value payloads-template-dataset-value payloads-template-definition-is-definition payloads-template-definition-members payloads-template-definition-nbirth payloads-template-definition-nbirth-only payloads-template-definition-parameters payloads-template-definition-parameters-default payloads-template-definition-ref payloads-template-instance-is-definition payloads-template-instance-members payloads-template-instance-members-birth payloads-template-instance-members-data payloads-template-instance-parameters payloads-template-instance-ref payloads-template-is-definition payloads-template-is-definition-definition payloads-template-is-definition-instance payloads-template-parameter-name-required payloads-template-parameter-name-type payloads-template-parameter-type-req payloads-template-parameter-type-value payloads-template-parameter-value payloads-template-parameter-value-type payloads-template-ref-definition payloads-template-ref-instance payloads-template-version topics-nbirth-templates',
    says: 'uses neither templates nor data sets, so that their rules cannot be broken',
    check(trace) {
      for (const { payload } of trace.messages)
        for (const metric of payload.metrics) assert.equal('templateValue' in metric || 'datasetValue' in metric, false)
    },
  },
  {
    ids: 'message-flow-edge-node-birth-publish-will-message message-flow-edge-node-birth-publish-will-message-payload message-flow-edge-node-birth-publish-will-message-payload-bdSeq message-flow-edge-node-birth-publish-will-message-qos message-flow-edge-node-birth-publish-will-message-will-retained payloads-ndeath-will-message principles-persistence-clean-session-311',
    says: 'gives each CONNECT a clean session and its NDEATH as the will',
    check({ group, node, connects }) {
      for (const { will, clean } of connects ?? []) {
        assert.deepEqual([will?.topic, will?.qos, will?.retain, clean], [`spBv1.0/${group}/NDEATH/${node}`, 1, false, true])
      }
    },
  },
  {
    ids: 'message-flow-edge-node-ncmd-subscribe message-flow-device-dcmd-subscribe message-flow-edge-node-birth-publish-connect',
    says: 'listens to the commands at QoS 1 before it is born',
    check({ group, node, subscriptions, messages }) {
      if (subscriptions === undefined) return
      const born = messages.findIndex(({ verb }) => verb === 'NBIRTH')
      for (const topic of [`spBv1.0/${group}/NCMD/${node}`, `spBv1.0/${group}/DCMD/${node}/+`]) {
        const found = subscriptions.find((each) => each.topic === topic)
        assert.ok(found && found.qos === 1 && (born === -1 || found.at <= born), topic)
      }
    },
  },
]

function oneValue(metric: DecodedMetric): void {
  const values = valueFields.filter((field) => field in metric).length
  assert.equal(values, metric.isNull ? 0 : 1, `${metric.name} has ${values} values`)
}

/** The field that the table of types asks for. */
export function fieldOf(datatype: number): string {
  if ([1, 2, 3, 5, 6, 7].includes(datatype)) return 'intValue'
  if ([4, 8, 13].includes(datatype)) return 'longValue'
  if (datatype >= 17) return 'bytesValue'
  return ({ 9: 'floatValue', 10: 'doubleValue', 11: 'booleanValue' } as Record<number, string>)[datatype] ?? 'stringValue'
}
