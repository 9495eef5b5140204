/** One word of the shell. */
export const quote = (text: string): string => (/^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** A command line of an argument vector. */
export const command = (argv: readonly string[]): string => argv.map(quote).join(' ');

/** Commands that give what a stored file of a part holds, decompressed. One that is encrypted is opened with the identity in `$KEY`. */
export const contentOf = (name: string): string =>
  name.endsWith('.age') ? `age -d -i "$KEY" "$PART"/${quote(name)} | zstd -dc` : `zstd -dc "$PART"/${quote(name)}`;
