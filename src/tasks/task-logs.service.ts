import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { didYouMean } from '../common/did-you-mean.js';
import { invalidParameters } from '../common/http/query.pipe.js';
import { HEARTBEAT, HEARTBEAT_MS, HELLO } from '../common/http/server-events.js';
import type { ProblemItem } from '../common/problem/problem.js';
import { QueueTaskStep } from '../queue/queue-task-records.entity.js';
import { QueueTask } from '../queue/queue-task.entity.js';
import { LogReader, type LogFilter, type LogPage } from '../queue/store/log-reader.js';
import { isTerminal } from '../queue/task-status.js';
import { specOf } from '../workflows/workflow.js';
import { chunkEvent, endEvent } from './log-events.js';
import type { LogLook, LogResumption } from './log-query.js';
import { LogText } from './log-text.js';
import { LogWatch } from './log-watch.js';
import { noSuchTask } from './tasks.service.js';

const NAMED_STEPS = 20;

/** An answer that has been looked into: what can be wrong with the request is known. */
type Producer = (gone: AbortSignal) => AsyncIterable<Buffer>;

/** What tasks' steps wrote: as one text, or event by event while they write it. A page at a time is in memory. */
@Injectable()
export class TaskLogsService {
  constructor(
    @InjectRepository(QueueTask) private readonly tasks: Repository<QueueTask>,
    @InjectRepository(QueueTaskStep) private readonly steps: Repository<QueueTaskStep>,
    private readonly reader: LogReader,
    private readonly watch: LogWatch,
  ) {}

  /** The output so far, in the order it was stored. */
  async text(taskId: string, filter: LogFilter, look: LogLook): Promise<Producer> {
    const first = await this.firstPage(taskId, '0', filter);
    return () => this.produceText(taskId, filter, look, first);
  }

  /** Events from there on until the task has ended; undefined where it has, and its reader has had all of them. */
  async events(taskId: string, filter: LogFilter, { after, ended }: LogResumption): Promise<Producer | undefined> {
    const first = await this.firstPage(taskId, after, filter);
    if (ended && first.last && first.rows.length === 0 && isTerminal(first.status)) return undefined;
    return (gone) => this.produceEvents(taskId, filter, first, gone);
  }

  private async *produceText(taskId: string, filter: LogFilter, look: LogLook, first: LogPage): AsyncIterable<Buffer> {
    const text = look.time || look.step || look.plain ? new LogText(look) : undefined;
    for (let page: LogPage | undefined = first; page !== undefined; page = await this.next(taskId, filter, page)) {
      if (!text) for (const { chunk } of page.rows) yield* some(chunk);
      else yield* some(text.add(page.rows));
    }
    if (text) yield* some(text.end());
  }

  private async *produceEvents(
    taskId: string,
    filter: LogFilter,
    first: LogPage,
    gone: AbortSignal,
  ): AsyncIterable<Buffer> {
    yield HELLO;
    for (let page = first; ;) {
      for (const row of page.rows) yield chunkEvent(row);
      if (page.last) {
        if (isTerminal(page.status)) {
          yield endEvent(page.after, page.status);
          return;
        }
        const position = { taskId, after: page.after };
        while (!(await this.watch.news(position, HEARTBEAT_MS, gone))) {
          if (gone.aborted) return;
          yield HEARTBEAT;
        }
      }
      if (gone.aborted) return;
      const next = await this.reader.page({ taskId, after: page.after }, filter);
      // Removed since; whoever comes back is told so.
      if (!next) return;
      page = next;
    }
  }

  private async next(taskId: string, filter: LogFilter, { after, last }: LogPage): Promise<LogPage | undefined> {
    return last ? undefined : this.reader.page({ taskId, after }, filter);
  }

  private async firstPage(taskId: string, after: string, filter: LogFilter): Promise<LogPage> {
    if (filter.step !== undefined || filter.attempt !== undefined) await this.check(taskId, filter);
    const page = await this.reader.page({ taskId, after }, filter);
    if (!page) throw noSuchTask(taskId);
    return page;
  }

  private async check(taskId: string, { step, attempt }: LogFilter): Promise<void> {
    const select = { id: true, attempt: true, workflowSpec: true } as const;
    const task = await this.tasks.findOne({ where: { taskId }, select });
    if (!task) throw noSuchTask(taskId);
    const errors: ProblemItem[] = [];
    // A first attempt may be waited for.
    if (attempt !== undefined && attempt > Math.max(1, task.attempt)) {
      const hint = task.attempt > 1 ? `There are attempts 1 to ${task.attempt}.` : 'There is attempt 1 only.';
      errors.push({ path: 'attempt', message: `the task has had no attempt ${attempt}`, hint });
    }
    if (step !== undefined) {
      const wrong = await this.checkStep(taskId, step, task.workflowSpec);
      if (wrong) errors.push(wrong);
    }
    if (errors.length > 0) throw invalidParameters(errors);
  }

  private async checkStep(
    taskId: string,
    step: string,
    spec: Record<string, unknown>,
  ): Promise<ProblemItem | undefined> {
    const noted = await this.steps.find({ where: { taskId }, select: { name: true }, order: { position: 'ASC' } });
    const known = [...new Set([...stepsOf(spec), ...noted.map(({ name }) => name)])];
    // An earlier attempt may have run other steps.
    if (known.includes(step) || (await this.reader.hasOutput(taskId, step))) return undefined;
    const meant = didYouMean(step, known);
    const names = known.slice(0, NAMED_STEPS).join(', ');
    const rest = known.length > NAMED_STEPS ? `, and ${known.length - NAMED_STEPS} more` : '';
    const hint = meant ? `Did you mean '${meant}'?` : known.length > 0 ? `Its steps: ${names}${rest}.` : undefined;
    return { path: 'step', message: `the task has no step '${step.slice(0, 80)}'`, ...(hint ? { hint } : {}) };
  }
}

/** Before the first attempt steps stand in the document only, and a row may have been written by hand. */
function stepsOf(spec: Record<string, unknown>): string[] {
  try {
    return specOf(spec).workflow.steps.map(({ name }) => name);
  } catch {
    return [];
  }
}

/** A stream takes an empty piece for none, and waits. */
function* some(bytes: Buffer): Iterable<Buffer> {
  if (bytes.length > 0) yield bytes;
}
