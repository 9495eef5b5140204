import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';

/** Bytes kept until they are written. */
const TOGETHER = 256 * 1024;

/** Where a line lies. */
export interface LinePlace {
  readonly at: number;
  readonly bytes: number;
}

/** Lines on disk that are read one by one, wherever they lie. All calls throw the system's error. */
export class LinesByPlace {
  readonly #path: string;
  readonly #file: number;
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #written = 0;
  #isClosed = false;

  /** In a new file. */
  constructor(path: string) {
    this.#path = path;
    this.#file = openSync(path, 'wx+', 0o600);
  }

  /** Adds a line. */
  add(line: string): LinePlace {
    const data = Buffer.from(line);
    const place = { at: this.#written + this.#waitingBytes, bytes: data.length };
    this.#waiting.push(data);
    this.#waitingBytes += data.length;
    if (this.#waitingBytes >= TOGETHER) this.#flush();
    return place;
  }

  read({ at, bytes }: LinePlace): string {
    if (at + bytes > this.#written) this.#flush();
    const line = Buffer.allocUnsafe(bytes);
    const count = readSync(this.#file, line, 0, bytes, at);
    if (count < bytes) throw new Error(`${this.#path} has no line of ${bytes} bytes at ${at}`);
    return line.toString();
  }

  /** Repeatable. */
  remove(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#file);
    rmSync(this.#path, { force: true });
  }

  #flush(): void {
    const data = Buffer.concat(this.#waiting.splice(0));
    this.#waitingBytes = 0;
    for (let done = 0; done < data.length; ) done += writeSync(this.#file, data, done, data.length - done, this.#written + done);
    this.#written += data.length;
  }
}
