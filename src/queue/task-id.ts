import { randomFillSync } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';

const SIZE = 16;
/** Random bytes for 256 ids: a draw from the system for each would cost more than the rest of the id. */
const pool = Buffer.alloc(SIZE * 256);
let next = pool.length;

let msecs = 0;
let seq = 0;

/** "task-" and a UUIDv7 (RFC 9562), each greater than the one before in this process, also when the clock is set back. */
export function newTaskId(): string {
  if (next === pool.length) {
    randomFillSync(pool);
    next = 0;
  }
  const random = pool.subarray(next, next + SIZE);
  next += SIZE;
  const now = Date.now();
  if (now > msecs) {
    msecs = now;
    // Half of its range, so that counting up within a millisecond never leaves it.
    seq = random.readUInt32BE(0) >>> 1;
  } else {
    seq++;
  }
  return `task-${uuidv7({ random, msecs, seq })}`;
}
