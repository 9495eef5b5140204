/** Keeps the end of a stream of bytes: programs that fail say why in their last lines. */
export class Tail {
  readonly #limit: number;
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** `limit` in bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    // Trimming only at twice the limit keeps the cost of a chunk constant on average.
    if (this.#bytes > 2 * this.#limit) this.#trim();
  }

  #trim(): void {
    const end = Buffer.concat(this.#chunks).subarray(-this.#limit);
    this.#chunks = [Buffer.from(end)];
    this.#bytes = end.length;
  }

  text(): string {
    if (this.#bytes > this.#limit) this.#trim();
    return Buffer.concat(this.#chunks).toString('utf8');
  }
}

/** Cuts a stream into lines. What follows the last newline is a line too, once the stream has ended. */
export class Lines {
  readonly #emit: (line: string) => void;
  #rest = '';

  constructor(emit: (line: string) => void) {
    this.#emit = emit;
  }

  push(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#emit(line);
    if (this.#rest.length > LONGEST_LINE) this.end();
  }

  end(): void {
    if (this.#rest !== '') this.#emit(this.#rest);
    this.#rest = '';
  }
}

/** A "line" beyond this many characters is handed on in pieces: output is not ours to bound otherwise. */
const LONGEST_LINE = 64 * 1024;
