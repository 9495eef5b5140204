/** One word of the shell. */
export const quote = (text: string): string => (/^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** A command line of an argument vector. */
export const command = (argv: readonly string[]): string => argv.map(quote).join(' ');
