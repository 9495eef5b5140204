import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServerSettings } from './settings.ts';

/**
 * What of the server lies where a switch by one rename would not take it along; sentences, none when all is well.
 * The binary log may lie elsewhere: it is not part of a backup. Throws the system's error when the data directory is unreadable.
 */
export async function layoutProblems(settings: ServerSettings): Promise<string[]> {
  const { datadir } = settings;
  const settingsElsewhere = (
    [
      ['innodb_data_home_dir', settings.innodbDataHomeDir],
      ['innodb_log_group_home_dir', settings.innodbLogGroupHomeDir],
      ['innodb_undo_directory', settings.innodbUndoDirectory],
      ['aria_log_dir_path', settings.ariaLogDirPath],
    ] as const
  ).flatMap(([name, path]) => (path === datadir ? [] : [`${name} is ${path}`]));
  const filePath = settings.innodbDataFilePath.includes('/') ? [`innodb_data_file_path is ${settings.innodbDataFilePath}`] : [];
  return [...settingsElsewhere, ...filePath, ...(await filesElsewhere(datadir))];
}

/** Tables with a DATA DIRECTORY: .isl files (InnoDB) and symbolic links (all others), at most the first few. */
async function filesElsewhere(datadir: string): Promise<string[]> {
  const found: string[] = [];
  for (const database of await readdir(datadir, { withFileTypes: true })) {
    if (database.isSymbolicLink()) found.push(`${database.name} is a symbolic link`);
    if (!database.isDirectory()) continue;
    for (const file of await readdir(join(datadir, database.name), { withFileTypes: true })) {
      if (file.isSymbolicLink() || file.name.endsWith('.isl')) found.push(`${database.name}/${file.name} points elsewhere`);
      if (found.length >= MANY) return found;
    }
  }
  return found;
}

const MANY = 5;
