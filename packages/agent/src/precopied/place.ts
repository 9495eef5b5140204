import { join } from 'node:path';
import type { AgentConfig } from '../config/schema.ts';

/** Whose repository. */
export type Place = Pick<AgentConfig, 'repository' | 'cluster' | 'node'>;

/**
 * Where a node keeps what an interrupted backup had copied before its still point, until the next backup takes it over. Hidden, and outside of all sets:
 * nobody can take it for a part of one.
 */
export const precopiedDirectory = ({ repository, cluster, node }: Place): string => join(repository, cluster, `.precopied.${node}`);

/** The record of what was copied of a dbroot. */
export const recordName = (number: number): string => `.dbroot${number}.precopied.json`;

/** Lines of the list for the files in its shards; see StoredFiles. */
export const linesName = (number: number): string => `.dbroot${number}.stored`;
