/** A pause of one application, of one workflow, or (both null) of the whole queue. */
export class PauseView {
  app_name: string | null;
  workflow_name: string | null;
  paused_by: string;
  reason: string | null;
  paused_at: Date;
}

export class PauseList {
  pauses: PauseView[];
}

export class PauseResult extends PauseList {
  /** False where it was so already. */
  changed: boolean;
}
