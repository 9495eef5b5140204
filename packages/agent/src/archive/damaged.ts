/** Bytes that are not what was written; says what about them. Whoever knows which file they are from makes PART_CORRUPT of it. */
export class Damaged extends Error {
  override readonly name = 'Damaged';
}
