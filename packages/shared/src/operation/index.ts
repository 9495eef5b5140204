/** Operations: their kinds, ids and the names they go by. */
export { NAME_PATTERN, newOperationId, newSetId, OPERATION_KINDS, type OperationKind } from './id.ts';
