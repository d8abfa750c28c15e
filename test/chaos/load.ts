import type { Answer, ServiceProcess } from '../support/service-process.js';
import { documentOf } from '../e2e/documents.js';

export interface Load {
  /** The ids that were answered with 202. */
  readonly accepted: string[];
  readonly refused: Answer[];
  /** Submissions whose answer never came, since the service was killed. */
  unanswered: number;
  slowestAnswerMs: number;
}

export const newLoad = (): Load => ({ accepted: [], refused: [], unanswered: 0, slowestAnswerMs: 0 });

/** A line of the effects' file, in one write: what a task has done to the world outside the service. */
export const effect = (file: string, step: string): string => `echo "$TASK_ID $ATTEMPT ${step}" >> '${file}'`;

/** Two steps with effects; the first takes long enough to be killed in. */
export const twoEffects = (file: string): object =>
  documentOf([{ command: `${effect(file, 'first')}\nsleep 0.1` }, { command: effect(file, 'second') }]);

/** More unanswered submissions than any fault here explains: nobody is there. */
const TOO_MANY = 1_000;

/** Sends one submission and notes what was answered. */
export async function submitTo(service: ServiceProcess, document: object, load: Load, query = ''): Promise<void> {
  const sent = performance.now();
  try {
    const answer = await service.post(`/api/specs${query}`, JSON.stringify(document), 'application/json');
    load.slowestAnswerMs = Math.max(load.slowestAnswerMs, performance.now() - sent);
    if (answer.status === 202) load.accepted.push(answer.json.task_id as string);
    else load.refused.push(answer);
  } catch {
    if (++load.unanswered > TOO_MANY) throw new Error(`${load.unanswered} submissions had no answer`);
  }
}

/** Keeps `lanes` submissions under way, each to a service picked anew, until `wanted` are accepted or `ended()`. */
export async function submitMany(
  pick: () => ServiceProcess,
  document: object,
  {
    load,
    wanted,
    lanes = 4,
    ended = () => false,
  }: { load: Load; wanted: number; lanes?: number; ended?: () => boolean },
): Promise<void> {
  let under = 0;
  const lane = async () => {
    while (load.accepted.length + under < wanted && !ended()) {
      under++;
      await submitTo(pick(), document, load).finally(() => under--);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
