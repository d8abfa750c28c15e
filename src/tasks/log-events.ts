import { isUtf8 } from 'node:buffer';
import type { LogRow } from '../queue/store/log-reader.js';
import type { TaskStatus } from '../queue/task-status.js';

/** Output as an event: `text` where it is UTF-8, else `base64`. */
export function chunkEvent({ id, step, stream, at, attempt, chunk }: LogRow): Buffer {
  const output = isUtf8(chunk) ? { text: chunk.toString('utf8') } : { base64: chunk.toString('base64') };
  return Buffer.from(`id: ${id}\ndata: ${JSON.stringify({ step, stream, at, attempt, ...output })}\n\n`);
}

export function endEvent(after: string, status: TaskStatus): Buffer {
  return Buffer.from(`id: ${after}.end\nevent: end\ndata: ${JSON.stringify({ status })}\n\n`);
}
