/**
 * Waits for a state: asks again every few milliseconds until the answer is true, and says what it waited for if not.
 * A `what` that is a function is asked at the end, and can tell how things stand then.
 */
export async function until(
  what: string | (() => string),
  condition: () => boolean | Promise<boolean>,
  { timeoutMs = 20_000, everyMs = 15 }: { timeoutMs?: number; everyMs?: number } = {},
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) {
      throw new Error(`waited ${timeoutMs} ms in vain until ${typeof what === 'string' ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
