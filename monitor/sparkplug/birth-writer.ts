import type { Datatype, MetricValue } from './datatypes.ts'

/** One metric of a birth: its encoded definition, and its present value. */
export type BirthMetric = { definition: Uint8Array; datatype: Datatype; value: MetricValue | null; timestamp: number }

/** Values up to this many bytes have a length of one byte, and so have most. */
const shortest = 0x7f

/**
 * Writes the metrics of a birth one behind the other into one buffer.
 *
 * The generated encoder makes a chain of closures and a buffer for each metric, which for 10,000 of them holds the loop up for 30 ms
 * when it runs for the first time, as it does at a birth. Only timestamps and plain values are written here: fields of a protobuf
 * message may stand in any order, so the encoded definition is copied in front of them.
 */
export class BirthWriter {
  #buffer: Buffer
  #at = 0
  readonly #encodeValue: (datatype: Datatype, value: MetricValue | null) => Uint8Array

  /** @param encodeValue gives the bytes of a value for which there is no short way here */
  constructor(sizeHint: number, encodeValue: (datatype: Datatype, value: MetricValue | null) => Uint8Array) {
    this.#buffer = Buffer.allocUnsafe(Math.max(64, sizeHint))
    this.#encodeValue = encodeValue
  }

  /** Field 2 of the payload, with the metric as its content. */
  metric({ definition, datatype, value, timestamp }: BirthMetric): void {
    const plain = isPlain(datatype, value)
    const rest = plain ? undefined : this.#encodeValue(datatype, value)
    // At most: tag and length, the definition, tag and ten bytes of a time, tag and ten bytes of a number.
    this.#reserve(11 + definition.length + 11 + (rest?.length ?? 11))
    const length = definition.length + 1 + varintLength(timestamp) + (rest?.length ?? plainLength(datatype, value as number))
    this.#byte(0x12)
    this.#varint(length)
    this.bytes(definition)
    this.#byte(0x18) // timestamp, field 3
    this.#varint(timestamp)
    if (rest !== undefined) this.bytes(rest)
    else this.#plain(datatype, value as number | boolean | null)
  }

  /** Copies bytes that are encoded already. */
  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#at)
    this.#at += bytes.length
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#at)
  }

  #plain(datatype: Datatype, value: number | boolean | null): void {
    if (value === null) {
      this.#byte(0x38) // is_null, field 7
      this.#byte(1)
    } else if (datatype === 'Double') {
      this.#byte(0x69) // double_value, field 13
      this.#at = this.#buffer.writeDoubleLE(value as number, this.#at)
    } else if (datatype === 'Float') {
      this.#byte(0x65) // float_value, field 12
      this.#at = this.#buffer.writeFloatLE(value as number, this.#at)
    } else if (datatype === 'Boolean') {
      this.#byte(0x70) // boolean_value, field 14
      this.#byte(value ? 1 : 0)
    } else {
      this.#byte(is64(datatype) ? 0x58 : 0x50) // long_value, field 11, or int_value, field 10
      this.#varint(value as number)
    }
  }

  #byte(byte: number): void {
    this.#buffer[this.#at++] = byte
  }

  /** A whole number from 0 to 2^53. */
  #varint(value: number): void {
    let left = value
    for (; left > 0x7fff_ffff; left = Math.floor(left / 128)) this.#byte((left % 128) | 0x80)
    for (; left > shortest; left >>>= 7) this.#byte((left & 0x7f) | 0x80)
    this.#byte(left)
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + bytes))
    this.#buffer.copy(larger, 0, 0, this.#at)
    this.#buffer = larger
  }
}

function is64(datatype: Datatype): boolean {
  return datatype === 'Int64' || datatype === 'UInt64' || datatype === 'DateTime'
}

function isPlain(datatype: Datatype, value: MetricValue | null): boolean {
  if (value === null || typeof value === 'boolean') return true
  return typeof value === 'number' && (value >= 0 || datatype === 'Double' || datatype === 'Float' || Number.isNaN(value))
}

function plainLength(datatype: Datatype, value: number | boolean | null): number {
  if (value === null || datatype === 'Boolean') return 2
  if (datatype === 'Double') return 9
  if (datatype === 'Float') return 5
  return 1 + varintLength(value as number)
}

function varintLength(value: number): number {
  let bytes = 1
  for (let left = value; left > shortest; left = Math.floor(left / 128)) bytes++
  return bytes
}
