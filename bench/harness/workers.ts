import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { Answer, Request, Run, WorkerOrder } from './worker-process.ts';

type AnswerOf<K extends Answer['is']> = Extract<Answer, { is: K }>;

/** A process with workers in it. */
export class WorkerProcess {
  /** Runs begun, as far as told. */
  count = 0;
  private readonly child: ChildProcess;
  private readonly listeners = new Set<(answer: Answer) => void>();

  private constructor(order: WorkerOrder) {
    this.child = fork(join(import.meta.dirname, 'worker-process.ts'), {
      env: { ...process.env, BENCH_WORKER: JSON.stringify(order) },
    });
    this.child.on('message', (answer: Answer) => {
      if (answer.is === 'progress') this.count = answer.count;
      for (const listener of this.listeners) listener(answer);
    });
  }

  /** Resolves when it is connected; it has not begun to work. */
  static async spawn(order: WorkerOrder): Promise<WorkerProcess> {
    const worker = new WorkerProcess(order);
    await worker.next('connected');
    return worker;
  }

  async start(): Promise<void> {
    await this.ask('start', 'started');
  }

  async report(): Promise<Run[]> {
    return (await this.ask('report', 'report')).runs;
  }

  async memory(): Promise<number> {
    return (await this.ask('memory', 'memory')).bytes;
  }

  /** The next answer of its kind; rejects when the process ends first. */
  next<K extends Answer['is']>(kind: K): Promise<AnswerOf<K>> {
    return new Promise((resolve, reject) => {
      const ended = () => reject(new Error(`a worker process ended before it answered '${kind}'`));
      const listener = (answer: Answer) => {
        if (answer.is !== kind) return;
        this.listeners.delete(listener);
        this.child.off('exit', ended);
        resolve(answer as AnswerOf<K>);
      };
      this.listeners.add(listener);
      this.child.once('exit', ended);
    });
  }

  /** At once: nothing in it is needed any more. */
  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await ended;
  }

  private ask<K extends Answer['is']>(request: Request, kind: K): Promise<AnswerOf<K>> {
    const answer = this.next(kind);
    this.child.send(request);
    return answer;
  }
}
