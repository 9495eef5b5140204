/** Numbers by number, four bytes each as far as the largest of those that have one. */
export class NumbersByNumber {
  /** Each plus 1; 0 for none. */
  #all = new Uint32Array(0);

  set(key: number, value: number): void {
    if (key >= this.#all.length) {
      const larger = new Uint32Array(Math.max(1024, key * 2));
      larger.set(this.#all);
      this.#all = larger;
    }
    this.#all[key] = value + 1;
  }

  get(key: number): number | undefined {
    const value = this.#all[key] ?? 0;
    return value === 0 ? undefined : value - 1;
  }
}
