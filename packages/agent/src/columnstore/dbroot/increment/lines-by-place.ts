import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';

/** Bytes kept until they are written, and bytes that are read at once: most lines are read one behind the other. */
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
  /** Used again and again: lines come by the million. */
  #waiting = Buffer.allocUnsafe(TOGETHER);
  #waitingBytes = 0;
  #written = 0;
  #isClosed = false;
  /** What was read last: where it lies, and how much it is. Nothing that is written changes what lies there. */
  #read = Buffer.alloc(0);
  #readAt = 0;
  #readBytes = 0;

  /** In a new file. */
  constructor(path: string) {
    this.#path = path;
    this.#file = openSync(path, 'wx+', 0o600);
  }

  /** Adds a line. */
  add(line: string): LinePlace {
    const bytes = Buffer.byteLength(line);
    if (this.#waitingBytes + bytes > this.#waiting.length) this.#flush();
    if (bytes > this.#waiting.length) this.#waiting = Buffer.allocUnsafe(bytes);
    const place = { at: this.#written + this.#waitingBytes, bytes };
    this.#waitingBytes += this.#waiting.write(line, this.#waitingBytes);
    return place;
  }

  read({ at, bytes }: LinePlace): string {
    if (at + bytes > this.#written) this.#flush();
    if (at < this.#readAt || at + bytes > this.#readAt + this.#readBytes) this.#readFrom(at, bytes);
    const start = at - this.#readAt;
    return this.#read.toString('utf8', start, start + bytes);
  }

  /** Repeatable. */
  remove(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#file);
    rmSync(this.#path, { force: true });
  }

  #readFrom(at: number, least: number): void {
    if (this.#read.length < least) this.#read = Buffer.allocUnsafe(Math.max(least, TOGETHER));
    this.#readAt = at;
    this.#readBytes = readSync(this.#file, this.#read, 0, this.#read.length, at);
    if (this.#readBytes < least) throw new Error(`${this.#path} has no line of ${least} bytes at ${at}`);
  }

  #flush(): void {
    const data = this.#waiting.subarray(0, this.#waitingBytes);
    this.#waitingBytes = 0;
    for (let done = 0; done < data.length; ) done += writeSync(this.#file, data, done, data.length - done, this.#written + done);
    this.#written += data.length;
  }
}
