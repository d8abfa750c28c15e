/** How long things take; a class so that it can be bound to other ones. */
export class DeliveryTimes {
  /** A receiver that has not answered by then has failed. */
  timeoutMs = 15_000;
  /** One that takes longer leaves its share to others: see Lanes. */
  slowMs = 1_000;
  /** What is under way when the process is told to end has so long to come to an end by itself. */
  graceMs = 2_000;
  /** How soon an event is noticed. */
  followMs = 200;
  /** How soon what another instance has made, and a retry that has come due, is noticed; and the first webhook. */
  lookMs = 1_000;
  pruneMs = 600_000;
}
