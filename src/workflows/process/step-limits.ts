/** How much a step's processes may use; 0 and what is not there: no limit. All but `processes` count for each process. */
export interface StepLimits {
  readonly cpuSeconds?: number;
  readonly memoryBytes?: number;
  readonly processes?: number;
  readonly fileBytes?: number;
  readonly openFiles?: number;
}

/** For whom does not listen to SIGXCPU. */
const CPU_GRACE_SECONDS = 5;

/**
 * `ulimit` commands. One that fails asks for more than the service itself is allowed: then that is the limit. In a sandbox
 * processes are counted inside it, and not here.
 */
export function limitCommands(limits: StepLimits, sandboxed: boolean): string[] {
  const { cpuSeconds, memoryBytes, processes, fileBytes, openFiles } = limits;
  const kibibytes = (bytes: number) => Math.max(1, Math.floor(bytes / 1024));
  return [
    // The hard limit kills, and says nothing: the soft one is reached first, and set first, since it cannot be above.
    ...(cpuSeconds ? [`ulimit -S -t ${cpuSeconds}`, `ulimit -H -t ${cpuSeconds + CPU_GRACE_SECONDS}`] : []),
    ...(memoryBytes ? [`ulimit -v ${kibibytes(memoryBytes)}`] : []),
    ...(processes && !sandboxed ? [`ulimit -u ${processes}`] : []),
    ...(fileBytes ? [`ulimit -f ${kibibytes(fileBytes)}`] : []),
    ...(openFiles ? [`ulimit -n ${openFiles}`] : []),
  ];
}

/** Why a step was ended by this signal, where a limit sends it. */
export function limitBehind(signal: string | undefined | null, limits: StepLimits): string | undefined {
  if (signal === 'SIGXCPU') {
    return `a process of it used more CPU time than ${named('STEP_LIMIT_CPU_SECONDS', limits.cpuSeconds, 's')}`;
  }
  if (signal === 'SIGXFSZ') {
    return `it wrote a file larger than ${named('STEP_LIMIT_FILE_BYTES', limits.fileBytes, 'bytes')}`;
  }
  return undefined;
}

function named(setting: string, value: number | undefined, unit: string): string {
  return value ? `${setting} allows (${value} ${unit})` : "the service's own ulimit allows";
}
