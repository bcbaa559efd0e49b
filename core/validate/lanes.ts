/** Runs up to `width` tasks at once; whoever brings one more waits. The first failure is kept. */
export class Lanes {
  readonly #width: number;
  readonly #underWay = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  constructor(width: number) {
    this.#width = width;
  }

  /** Resolves when the task has begun. Throws the failure of an earlier one. */
  async run(task: () => Promise<void>): Promise<void> {
    while (this.#underWay.size >= this.#width) await Promise.race(this.#underWay);
    if (this.#failure !== undefined) throw this.#failure.error;
    const running = task()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#underWay.delete(running));
    this.#underWay.add(running);
  }

  /** Does what brings the tasks, and leaves none of them running. Throws the first failure. */
  async whileOpen<T>(bring: () => Promise<T>): Promise<T> {
    const brought = await bring().finally(() => Promise.all(this.#underWay));
    if (this.#failure !== undefined) throw this.#failure.error;
    return brought;
  }
}
