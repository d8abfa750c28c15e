/** One life of a process that runs tasks. */
export class InstanceView {
  /** Fresh for each start, and after each lost lease. */
  id: string;
  hostname: string;
  pid: number;
  version: string;
  /** How many tasks it may run at once, as wanted; it follows with its next heartbeat at the latest. */
  workers: number;
  /** Tasks it runs now; for a while more than `workers` after those were made fewer. */
  busy: number;
  /** It begins nothing new and finishes what runs. */
  draining: boolean;
  /** Its process is about to end, and drains for that. */
  stopping: boolean;
  started_at: Date;
  /** The end of its lease unless it is renewed. */
  expires_at: Date;
  alive: boolean;
}

export class InstanceList {
  count: number;
  instances: InstanceView[];
}
