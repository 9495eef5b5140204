/** What a backup is made as an increment of. */
export interface ChosenParent {
  /** Undefined for a full one. */
  readonly parent: string | undefined;
  /** Why it is full although an increment was asked for. */
  readonly warnings: readonly string[];
}
