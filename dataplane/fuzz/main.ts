/** `make fuzz`: see --help. Exits 1 with findings. */
import { parseArgs } from 'node:util';
import { conversations } from './conversations.ts';
import { REQUESTS } from './corpus/requests.ts';
import { RESPONSES } from './corpus/responses.ts';
import { type Finding, fuzz, type Report, type Subject } from './fuzzer.ts';
import { nginxPath } from './nginx.ts';

const HELP = `make fuzz ARGS="--seconds 600 --seed 7"
  --subject requests|responses   one of them; both in turn where it is left out
  --seconds N                    how long each runs [60]
  --executions N                 ends each after so many as well
  --nginx auto|off|always        whole conversations beside nginx as well, for as long again; auto: where it is installed and no subject is named [auto]
  --seed N                       the same seed and executions make the same inputs [of the clock]
`;

const { values } = parseArgs({
  options: {
    subject: { type: 'string' },
    seconds: { type: 'string', default: '60' },
    executions: { type: 'string' },
    nginx: { type: 'string', default: 'auto' },
    seed: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

const SEEDS: Record<Subject, readonly string[]> = {
  requests: REQUESTS.map(({ bytes }) => bytes),
  responses: RESPONSES.map(({ bytes }) => bytes),
};

function show({ subject, seed, executions, tookMs, corpus, coveredCharacters, outcomes, counts }: Report): void {
  const rate = Math.round((executions / tookMs) * 1000);
  console.log(
    `${subject}: seed ${seed}, ${executions} executions in ${Math.round(tookMs / 1000)} s (${rate} a second), corpus ${corpus}, ${coveredCharacters} characters of code, ${outcomes} outcomes, ${JSON.stringify(counts)}`,
  );
}

function showFinding(finding: Finding): void {
  console.log(`FINDING ${finding.what}\n  input  ${JSON.stringify(finding.input)}`);
  console.log(`  ours   ${JSON.stringify(finding.ours)}\n  theirs ${JSON.stringify(finding.theirs)}`);
}

if (values.help) console.log(HELP);
else {
  const seed = values.seed === undefined ? Date.now() % 4_294_967_296 : Number(values.seed);
  const subjects: readonly Subject[] =
    values.subject === undefined ? ['requests', 'responses'] : [values.subject as Subject];
  const path = values.nginx === 'off' || (values.nginx === 'auto' && values.subject !== undefined) ? null : nginxPath();
  if (values.nginx === 'always' && path === null) throw new Error('nginx is not installed');
  const reports: Report[] = [];
  for (const subject of subjects) {
    const report = await fuzz({
      subject,
      seed,
      seeds: SEEDS[subject],
      executions: values.executions === undefined ? Number.POSITIVE_INFINITY : Number(values.executions),
      forMs: Number(values.seconds) * 1000,
      onFinding: showFinding,
      onProgress: show,
    });
    reports.push(report);
  }
  const beside =
    path === null
      ? null
      : await conversations({
          ...{ nginxPath: path, seed, forMs: Number(values.seconds) * 1000 },
          seeds: REQUESTS.filter(({ refused }) => refused === null).map(({ bytes }) => bytes),
          onFinding: (finding) => showFinding({ ...finding, theirs: finding.nginx }),
        });
  console.log('--- summary');
  for (const report of reports) {
    show(report);
    console.log(
      `${report.subject}: ${report.coveredCharacters - report.coveredBySeeds} characters of code beyond the known payloads, ${report.findings.length} findings`,
    );
  }
  console.log(
    beside === null
      ? 'nginx: no conversations'
      : `nginx: seed ${seed}, ${beside.conversations} conversations in ${Math.round(beside.tookMs / 1000)} s, ${beside.findings.length} findings`,
  );
  if ([...reports, beside].some((report) => report !== null && report.findings.length > 0)) process.exitCode = 1;
}
